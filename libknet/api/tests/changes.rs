//! Two configurations: how they differ in lines, and how changes of two people come together.

use knet_api::{
    edit::Context,
    grammar::{Line, parse},
    load::load,
    model::Config,
    rebase::rebase,
    render::render,
    text_diff::text_diff,
};

const SAMPLE: &str = "\
hostname fra1
!
interface knet0
 private-key file fra1.key
 ip address 10.200.0.1/24
 ip address 10.201.0.1/24
 local 0 192.0.2.1 port 7700
 local 1 198.51.100.1 port 7700
 !
 peer ams1
  public-key 3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=
  link 0 local 0 remote 203.0.113.7 port 7700
   priority 200
  link 1 local 1 remote dynamic
 !
 peer lab2
  public-key iUSrnkYs2bbU0PXEnDwc4oZZBmlvvUqQGxaqZCixJgg=
!
host lon1
 hostname london
 interface knet0
  mtu 1310
";

fn sample() -> Config {
    load(SAMPLE.as_bytes()).config
}

/// The sample with these lines typed into it.
fn edited(lines: &str) -> Config {
    let mut config = sample();
    let mut here = Context::Global;
    for line in lines.split(';') {
        let Ok(Line::Edit(edit)) = parse(Some(&here), line) else {
            panic!("{line}");
        };
        config = config
            .edited(&edit.ops)
            .unwrap_or_else(|p| panic!("{line}: {p:?}"))
            .config;
        here = edit.enter.unwrap_or(here);
    }
    config
}

fn diff(from: &Config, to: &Config) -> String {
    text_diff(("a", from), ("b", to))
}

#[test]
fn lines_that_differ_stand_below_the_objects_that_they_are_in() {
    let after = edited(
        "interface knet0 mtu 1300;no interface knet0 ip address 10.200.0.1/24;no interface knet0 peer lab2;\
         interface knet0 peer ams1 link 0 priority 7;interface knet0 peer ams1 link 1 local 1 remote 203.0.113.9 port 7;\
         interface knet0 peer ams1 link 1 weight 3;interface knet0 peer rom1;description Rome;interface knet1;\
         host lon1 interface knet0 mtu 1320;host lon1 interface knet0 peer ams1;host vie1;hostname vienna",
    );
    let expected = "\
--- a
+++ b
 interface knet0
+ mtu 1300
- ip address 10.200.0.1/24
  peer ams1
   link 0 local 0 remote 203.0.113.7 port 7700
-   priority 200
+   priority 7
-  link 1 local 1 remote dynamic
+  link 1 local 1 remote 203.0.113.9 port 7
+   weight 3
- peer lab2
-  public-key iUSrnkYs2bbU0PXEnDwc4oZZBmlvvUqQGxaqZCixJgg=
+ peer rom1
+  description Rome
+interface knet1
 host lon1
  interface knet0
-  mtu 1310
+  mtu 1320
+  peer ams1
+host vie1
+ hostname vienna
";
    assert_eq!(diff(&sample(), &after), expected);
    assert_eq!(diff(&after, &after), "");
    let swapped: String = expected
        .lines()
        .skip(2)
        .filter(|line| line.starts_with(['-', '+']))
        .map(|line| {
            line.replace('-', "~")
                .replacen('+', "-", 1)
                .replacen('~', "+", 1)
                .replace('~', "-")
                + "\n"
        })
        .collect();
    let back = diff(&after, &sample());
    for line in swapped.lines() {
        assert!(
            back.lines().any(|other| other == line),
            "{line} is not in\n{back}"
        );
    }
}

#[test]
fn an_order_that_changes_is_shown_whole() {
    let after =
        edited("no interface knet0 ip address 10.200.0.1/24;interface knet0 ip address 10.200.0.1/24");
    let lines: Vec<String> = diff(&sample(), &after)
        .lines()
        .skip(3)
        .map(str::to_owned)
        .collect();
    assert_eq!(
        lines,
        [
            "- ip address 10.200.0.1/24",
            "- ip address 10.201.0.1/24",
            "+ ip address 10.201.0.1/24",
            "+ ip address 10.200.0.1/24"
        ]
    );
}

/// What one line can change: of all pairs the two sides come to the same, or say both that they collide.
const CHANGES: [&str; 32] = [
    "hostname fra2",
    "no hostname",
    "interface knet0 mtu 1300",
    "interface knet0 mtu 1310",
    "no interface knet0",
    "interface knet1",
    "interface knet1;description new",
    "interface knet1;description newer",
    "interface knet0 ip address 10.202.0.1/24",
    "no interface knet0 ip address 10.201.0.1/24",
    "no interface knet0 ip address",
    "interface knet0 local 2 192.0.2.3 port 7700",
    "interface knet0 local 2 192.0.2.4 port 7700",
    "interface knet0 local 1 198.51.100.2 port 7700",
    "interface knet0 peer ams1 policy active",
    "no interface knet0 peer ams1",
    "no interface knet0 peer ams1 link 0",
    "interface knet0 peer ams1 link 0 priority 7",
    "no interface knet0 peer ams1 link 0 priority",
    "interface knet0 peer ams1 link 0 local 0 remote 203.0.113.8 port 7700",
    "interface knet0 peer ams1 mac static 02:00:00:00:00:01",
    "interface knet0 peer rom1",
    "interface knet0 mesh rhine",
    "interface knet0 mesh rhine;link 0 cost 10",
    "interface knet0 mesh rhine;link 0 cost 11",
    "host lon1 hostname lon",
    "host lon1 interface knet0 mtu 1320",
    "host lon1 interface knet0 mtu 1330",
    "no host lon1 interface knet0 mtu",
    "host lon1 interface knet0 peer ams1;policy active",
    "no host lon1",
    "host vie1;hostname vienna",
];

#[test]
fn changes_come_together_in_any_order_or_collide_in_both() {
    let base = sample();
    let (mut together, mut collided) = (0, 0);
    for one in CHANGES {
        for other in CHANGES {
            let (mine, theirs) = (edited(one), edited(other));
            match (rebase(&base, &mine, &theirs), rebase(&base, &theirs, &mine)) {
                (Ok(a), Ok(b)) => {
                    // Where both add lines of one setting, the order is that of who came first.
                    let sorted = |config: &Config| {
                        let text = render(config, false);
                        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
                        lines.sort();
                        lines
                    };
                    assert_eq!(sorted(&a), sorted(&b), "{one} and {other}");
                    assert!(rebase(&base, &base, &a).is_ok_and(|c| c == a));
                    together += 1;
                }
                (Err(a), Err(b)) => {
                    assert!(
                        one != other && !a.is_empty() && !b.is_empty(),
                        "{one} and {other}"
                    );
                    collided += 1;
                }
                (a, b) => panic!("{one} and {other}: {a:?} but {b:?}"),
            }
        }
    }
    assert_eq!(together + collided, CHANGES.len() * CHANGES.len());
    assert!(
        together > 300 && collided > 50,
        "{together} came together, {collided} collided"
    );
}

#[test]
fn a_collision_names_both_lines() {
    let base = sample();
    let (mine, theirs) = (
        edited("interface knet0 mtu 1300"),
        edited("interface knet0 mtu 1310"),
    );
    let collisions = rebase(&base, &mine, &theirs).expect_err("a collision");
    assert_eq!(collisions.len(), 1);
    assert_eq!(
        (&*collisions[0].mine, &*collisions[0].theirs),
        ("mtu 1300", "mtu 1310")
    );
    assert_eq!(collisions[0].context.to_string(), "interface knet0");
    let on_host = |mtu| edited(&format!("host lon1 interface knet0 mtu {mtu}"));
    let collisions = rebase(&base, &on_host(1320), &on_host(1330)).expect_err("a collision");
    assert_eq!(collisions.len(), 1);
    assert_eq!(
        (&*collisions[0].mine, &*collisions[0].theirs),
        ("mtu 1320", "mtu 1330")
    );
    assert_eq!(collisions[0].context.to_string(), "host lon1, interface knet0");
    let collisions = rebase(&base, &edited("no interface knet0"), &theirs).expect_err("a collision");
    assert_eq!(collisions[0].mine, "no interface knet0");
}
