//! A value of each type, for the examples of the reference.

/// The example of the type of this name; a test finds the types that have none.
pub(super) fn example(name: &str) -> &'static str {
    match name {
        "hostname" => "fra1",
        "interface" => "knet0",
        "peer" => "ams1",
        "link" | "local" => "0",
        "description" => "hub of the rhine sites",
        "path" => "fra1.key",
        "mac" => "02:00:5e:10:00:01",
        "mtu" => "auto",
        "mtu-policy" => "signal",
        "cipher" => "aes-256-gcm",
        "ipv4-prefix" => "10.200.0.1/24",
        "ipv6-prefix" => "fd00:200::1/64",
        "local-address" => "192.0.2.1",
        "port" => "7700",
        "device" => "eth1",
        "ageing-time" => "600",
        "key" => "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=",
        "policy" => "flow-hash",
        "remote-address" => "203.0.113.7",
        "priority" => "200",
        "dscp" => "46",
        "weight" => "2",
        "cost" | "count" => "10",
        "interval" => "500",
        "timeout" => "2000",
        "pong-count" => "3",
        "loss-limit" => "5",
        "rtt-limit" => "80",
        "lines" => "50",
        "words" => "loss",
        _ => "",
    }
}
