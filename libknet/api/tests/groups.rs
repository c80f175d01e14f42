//! Groups of peers: what a peer does not say itself, its group says.

mod random_config;
mod typed;

use knet_api::{
    diff::{diff, peer_differences},
    edit::Context,
    grammar::complete,
    group::{Before, ClashReason, Lists, authorized_keys::AuthorizedKeys},
    load::load,
    message::Source,
    model::{Config, MAX_PEERS, PeerConfig, Policy, PublicKey, Weight},
    persistent_map::PersistentMap,
    render::render,
};
use proptest::prelude::*;

const FILE: &str = "\
!
interface knet0
 private-key file k
 local 0 any port 7700
 !
 peer-group branches
  description one line in each branch
  authorized-keys branches.keys
  preshared-key file branches.psk
  policy active
  spoke
  lossy
  link 0 priority 200
  link 1 cost 10
  link 0 timers 500 2000
  link 1 pong-count 3
  link 1 limit loss 5
 !
 peer ams1
  public-key 3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=
  group branches
 !
 peer bas1
  public-key iUSrnkYs2bbU0PXEnDwc4oZZBmlvvUqQGxaqZCixJgg=
  preshared-key file bas1.psk
  group branches
  policy passive
  link 0 remote dynamic
   priority 7
  link 1 remote dynamic
   weight 2
  link 2 remote dynamic
 !
 peer lab2
  public-key gPkHNoIJtAUo1bN9z2pV4EBCzQ7mUy2rjH8HbYbTXEc=
";

fn good(text: &str) -> Config {
    let loaded = load(text.as_bytes());
    assert_eq!(loaded.problems, [], "{text}");
    loaded.config
}

fn peers(config: &Config) -> &PersistentMap<String, PeerConfig> {
    &config.interfaces["knet0"].peers
}

/// What is made of it without files.
fn in_force(config: &Config) -> Config {
    let made = config.without_groups(&Lists::new(), None);
    assert_eq!(made.clashes, []);
    made.config
}

/// The configuration with these lines typed into its interface, or what is said of the first that is refused.
fn edited(config: &Config, lines: &[&str]) -> Result<Config, String> {
    let here = Context::Interface {
        interface: "knet0".into(),
    };
    typed::edited(config, here, lines)
}

#[test]
fn what_a_peer_does_not_say_its_group_says() {
    let config = good(FILE);
    assert_eq!(render(&config, false), FILE);
    let made = in_force(&config);
    assert!(!made.has_groups() && made.validate().is_empty());
    let ams1 = &peers(&made)["ams1"];
    assert_eq!(ams1.policy(), Policy::Active);
    assert_eq!(ams1.preshared_key_file.as_deref(), Some("branches.psk"));
    assert_eq!(
        (ams1.spoke, ams1.lossy, ams1.isolate, ams1.shutdown),
        (true, true, false, false)
    );
    // It opens its links itself.
    let opened = ams1.opened.as_ref().expect("links of the group");
    assert_eq!(opened[&0].timers_ms(), (500, 2000));
    let bas1 = &peers(&made)["bas1"];
    assert_eq!(bas1.policy(), Policy::Passive);
    assert_eq!(bas1.preshared_key_file.as_deref(), Some("bas1.psk"));
    assert!(bas1.spoke);
    let settings = |link: u8| bas1.links[&link].settings;
    assert_eq!(
        (settings(0).priority(), settings(0).timers_ms()),
        (7, (500, 2000))
    );
    assert_eq!((settings(1).priority(), settings(1).cost()), (100, 10));
    assert_eq!((settings(1).pong_count(), settings(1).limit_loss), (3, Some(5)));
    assert_eq!(settings(1).weight(), Weight::Fixed(2.try_into().expect("not 0")));
    assert_eq!(settings(2), knet_api::model::LinkSettings::default());
    assert_eq!(peers(&made)["lab2"], peers(&config)["lab2"]);
}

#[test]
fn what_is_said_of_a_peer_in_a_group_stays_said() {
    let config = good(FILE);
    for all in [false, true] {
        let text = render(&config, all);
        assert_eq!(render(&good(&text), all), text);
    }
    // What a peer of a group does not say is not at its default.
    let all = render(&config, true);
    assert_eq!(all.matches("  policy ").count(), 3, "{all}");
    let without = edited(&config, &["peer bas1", "no policy"]).expect("sound");
    assert_eq!(peers(&in_force(&without))["bas1"].policy(), Policy::Active);
    assert_eq!(diff(&config, &without).len(), 1);
    let unbound = edited(&config, &["no peer ams1 group"]).expect("sound");
    assert_eq!(peers(&in_force(&unbound))["ams1"].policy(), Policy::Passive);
}

#[test]
fn a_group_that_is_not_there_is_refused() {
    let config = good(FILE);
    for (lines, said) in [
        (
            &["peer lab2 group branch"][..],
            "peer lab2 is in group branch, which interface knet0 does not have; expected: one of branches; did you mean \
             `branches`?",
        ),
        (
            &["no peer-group branches"],
            "peer ams1 is in group branches, which interface knet0 does not have; expected: `peer-group \
             branches` in the interface, or `no group` in the peer",
        ),
        (
            &["no peer-group phones"],
            "there is no group phones of interface knet0; expected: one of branches",
        ),
        (
            &["peer-group branches", "link 3 timers 1000 2000"],
            "link 3 of peers of group branches would give up after 2000 ms with a heartbeat every 1000 ms; expected: a \
             timeout of at least three intervals, 3000 ms",
        ),
    ] {
        assert_eq!(edited(&config, lines).expect_err("refused"), said, "{lines:?}");
    }
    let text = FILE.replace(
        "group branches\n  policy passive",
        "group branch\n  policy passive",
    );
    let loaded = load(text.as_bytes());
    let told: Vec<String> = loaded.errors().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "line 26, column 9: peer bas1 is in group branch, which interface knet0 does not have; expected: one of \
             branches; did you mean `branches`?"
        ]
    );
    let one_after_the_other = ["no peer ams1", "no peer bas1 group", "no peer-group branches"];
    let gone = edited(&config, &one_after_the_other).expect("sound");
    assert!(!gone.has_groups());
}

#[test]
fn names_of_groups_are_offered() {
    let peer = Context::Peer {
        interface: "knet0".into(),
        peer: "ams1".into(),
    };
    let interface = || Some("knet0".to_owned());
    for (line, asked) in [
        (
            "group b",
            Source::Groups {
                interface: interface(),
            },
        ),
        (
            "no peer-group ",
            Source::Groups {
                interface: interface(),
            },
        ),
    ] {
        let mut asked_for = None;
        complete(Some(&peer), line, &mut |source, _| {
            asked_for = Some(source);
            Vec::new()
        });
        assert_eq!(asked_for, Some(asked), "{line}");
    }
}

/// Names and keys by number.
fn listed(members: &[(&str, u8)]) -> AuthorizedKeys {
    let key = |number: u8| PublicKey([number; 32]);
    let of_member = |(name, number): &(&str, u8)| ((*name).to_owned(), key(*number).into());
    members.iter().map(of_member).collect()
}

fn lists(group: &str, members: &[(&str, u8)]) -> Lists {
    Lists::from([(("knet0".to_owned(), group.to_owned()), listed(members))])
}

#[test]
fn peers_of_files_are_peers_of_their_groups() {
    let config = good(FILE);
    let with = |members: &[(&str, u8)]| config.without_groups(&lists("branches", members), None);
    let made = with(&[("oslo1", 7), ("rom1", 8)]);
    assert_eq!(made.clashes, []);
    let names: Vec<&String> = peers(&made.config).keys().collect();
    assert_eq!(names, ["ams1", "bas1", "lab2", "oslo1", "rom1"]);
    let oslo1 = &peers(&made.config)["oslo1"];
    assert_eq!((oslo1.policy(), oslo1.spoke), (Policy::Active, true));
    assert_eq!(oslo1.public_key, Some(PublicKey([7; 32])));
    assert_eq!(oslo1.opened, peers(&made.config)["ams1"].opened);
    // A file of a group that is not there lists nobody.
    let elsewhere = config.without_groups(&lists("phones", &[("oslo1", 7)]), None);
    assert_eq!(peers(&elsewhere.config).len(), 3);
}

#[test]
fn who_cannot_be_a_peer_is_told() {
    let config = good(FILE);
    let clash = |members: &[(&str, u8)]| {
        let made = config.without_groups(&lists("branches", members), None);
        let told = made.clashes.into_iter();
        told.map(|clash| (clash.peer, clash.reason)).collect::<Vec<_>>()
    };
    assert_eq!(clash(&[("ams1", 7)]), [("ams1".into(), ClashReason::Configured)]);
    assert_eq!(
        clash(&[("b", 7), ("a", 7)]),
        [("a".into(), ClashReason::KeyOf("b".into()))]
    );
    let mut with_key = config.clone();
    let peer = with_key
        .interfaces
        .get_mut("knet0")
        .expect("it is there")
        .peers
        .get_mut("lab2");
    peer.expect("it is there").public_key = Some(PublicKey([7; 32]));
    let made = with_key.without_groups(&lists("branches", &[("z", 7)]), None);
    assert_eq!(made.clashes[0].reason, ClashReason::KeyOf("lab2".into()));
    // Two files.
    let two = edited(&config, &["peer-group phones"]).expect("sound");
    let mut both = lists("branches", &[("a", 7)]);
    both.extend(lists("phones", &[("a", 8)]));
    let made = two.without_groups(&both, None);
    assert_eq!(made.clashes[0].group, "phones");
    assert_eq!(made.clashes[0].reason, ClashReason::Listed("branches".into()));
    // More than there can be.
    let many: AuthorizedKeys = (0..MAX_PEERS as u32)
        .map(|number| {
            let mut key = [9; 32];
            key[..4].copy_from_slice(&number.to_le_bytes());
            (format!("p{number}"), PublicKey(key).into())
        })
        .collect();
    let many = Lists::from([(("knet0".to_owned(), "branches".to_owned()), many)]);
    let made = config.without_groups(&many, None);
    assert_eq!(made.clashes.len(), 1);
    assert_eq!(made.clashes[0].reason, ClashReason::TooMany(MAX_PEERS + 3));
}

fn members() -> impl Strategy<Value = Vec<(&'static str, u8)>> {
    let name = prop::sample::select(vec!["a", "b", "c", "d"]);
    prop::collection::btree_map(name, 0..6_u8, 0..4).prop_map(|members| members.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// What is taken over from before is what would have been made anew.
    #[test]
    fn a_change_of_a_configuration_with_groups_gives_what_the_whole_gives(
        from in random_config::config(Just("key".to_owned())),
        to in random_config::config(Just("key".to_owned())),
        listed in members(),
        then in members(),
    ) {
        // The files are those of the group that there is, if there is one.
        let of = |config: &Config, members: &[(&str, u8)]| {
            let groups = config.interfaces.get("knet0").map(|interface| interface.groups.keys());
            groups.into_iter().flatten().flat_map(|group| lists(group, members)).collect::<Lists>()
        };
        let (old, new) = (of(&from, &listed), of(&to, &then));
        let made = from.without_groups(&old, None);
        // What is in force before makes sense.
        prop_assume!(made.clashes.is_empty());
        let before = Before { written: &from, lists: &old, in_force: &made.config };
        let (whole, changed) = (to.without_groups(&new, None), to.without_groups(&new, Some(before)));
        prop_assert_eq!(changed.clashes.is_empty(), whole.clashes.is_empty());
        prop_assert_eq!(changed.config, whole.config);
        // Another file for the same configuration, and the same once more.
        let other = of(&from, &then);
        let (whole, changed) = (from.without_groups(&other, None), from.without_groups(&other, Some(before)));
        prop_assert_eq!(changed.clashes.is_empty(), whole.clashes.is_empty());
        prop_assert_eq!(changed.config, whole.config);
        let same = from.without_groups(&old, Some(before));
        prop_assert_eq!(peer_differences(&made.config, &same.config).count(), 0);
    }
}

#[test]
fn what_a_group_says_of_floods_and_of_trust_holds_for_its_peers() {
    let lines = [
        "peer-group branches",
        "storm-control frames 500",
        "storm-control copies 5000",
        "mac limit 4",
        "ip dhcp snooping trust",
        "ipv6 nd raguard trust",
        "peer bas1",
        "mac limit 9",
    ];
    let config = edited(&good(FILE), &lines).expect("lines of a group");
    assert_eq!(good(&render(&config, false)), config);
    let made = in_force(&config);
    let of = |name: &str| {
        let peer = &peers(&made)[name];
        let limits = (peer.storm_frames, peer.storm_copies, peer.mac_limit);
        (limits, peer.dhcp_trust, peer.ra_trust)
    };
    assert_eq!(of("ams1"), ((Some(500), Some(5000), Some(4)), true, true));
    assert_eq!(of("bas1"), ((Some(500), Some(5000), Some(9)), true, true));
    assert_eq!(of("lab2"), ((None, None, None), false, false));
}

#[test]
fn hubs_of_a_group_are_one_port_of_the_bridge() {
    let two = edited(
        &good(FILE),
        &[
            "peer lab2 hub-group hubs preference 200",
            "peer osl1",
            "public-key D+JyCOEtVGpKLzQ7kY3cVvBNcULJ4dO5ZLnpP5QwD2s=",
            "hub-group hubs",
        ],
    )
    .expect("sound");
    let text = render(&two, false);
    assert!(text.contains("  hub-group hubs preference 200\n"), "{text}");
    assert!(
        text.contains("  hub-group hubs\n"),
        "the default is not said: {text}"
    );
    assert_eq!(good(&text), two);
    let same = "; expected: the same for all hubs of a group: they are one port of the bridge";
    for (lines, said) in [
        (
            &["peer osl1 spoke"][..],
            "peer osl1 is a hub of hub-group hubs, and a spoke; expected: one of the two: a hub relays for this node, and \
             this node for a spoke"
                .to_owned(),
        ),
        (
            &["peer osl1 isolate"],
            format!("`isolate` of peer osl1 is on, and of peer lab2, a hub of the same hub-group hubs, off{same}"),
        ),
        (
            &["vlan filtering", "peer lab2 switchport access vlan 7"],
            format!("`switchport` of peer osl1 is access vlan 1, and of peer lab2, a hub of the same hub-group hubs, access vlan 7{same}"),
        ),
        (
            &["peer-group far", "mac limit 7", "peer osl1 group far"],
            format!(
                "`mac limit` of peer osl1 is 7, and of peer lab2, a hub of the same hub-group hubs, the default{same}"
            ),
        ),
        (
            &["peer-group far", "hub-group hubs", "authorized-keys clients"],
            "the hubs of peer-group far would be whoever gets in by `authorized-keys`; expected: hubs that are configured as \
             peers, at most 8"
                .to_owned(),
        ),
    ] {
        assert_eq!(edited(&two, lines).expect_err("refused"), said, "{lines:?}");
    }
    // Peers of a peer group are hubs of its hub group, and may say a preference of their own.
    let grouped = edited(
        &two,
        &[
            "no peer lab2 hub-group",
            "peer-group far",
            "hub-group hubs preference 7",
            "peer lab2 group far",
        ],
    );
    let grouped = in_force(&grouped.expect("sound"));
    let of = |name: &str| peers(&grouped)[name].hub.as_ref().map(|hub| hub.preference);
    assert_eq!((of("lab2"), of("osl1"), of("ams1")), (Some(7), Some(100), None));
}
