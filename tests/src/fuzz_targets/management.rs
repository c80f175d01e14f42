//! What users and control clients send: lines, files, messages.

use std::sync::LazyLock;

use libknet::api::{
    certificate::{
        SignedCertificate,
        armor::{self, Label},
        authority::{self, Authority},
        revocation::SignedRevocationList,
    },
    codec,
    edit::Context,
    grammar::{Line, complete, help, parse},
    group::authorized_keys,
    invitation::{self, Invitation, register},
    load::load,
    message::{Hello, HelloReply, Privilege, Request, RequestBody, Response},
    model::Config,
    render::render,
};

/// A line, typed in one kind of object or the other: what is told of it stands in it, and what it means can be applied
/// or is refused whole.
pub fn grammar_line(bytes: &[u8]) {
    let Ok(line) = std::str::from_utf8(bytes) else {
        return;
    };
    let (interface, peer, mesh) = ("knet0".to_owned(), "a".to_owned(), "m".to_owned());
    let objects = [
        Context::Global,
        Context::Interface {
            interface: interface.clone(),
        },
        Context::Peer {
            interface: interface.clone(),
            peer: peer.clone(),
        },
        Context::Link {
            interface: interface.clone(),
            peer,
            link: 0,
        },
        Context::Mesh {
            interface: interface.clone(),
            mesh: mesh.clone(),
        },
        Context::Group {
            interface: interface.clone(),
            group: "g".to_owned(),
        },
        Context::Member {
            interface,
            mesh,
            member: "h".to_owned(),
        },
    ];
    let on_host = objects
        .iter()
        .filter_map(|object| Context::on_host("h", object.clone()));
    let contexts: Vec<Option<Context>> = [None]
        .into_iter()
        .chain(objects.iter().cloned().map(Some))
        .chain(on_host.map(Some))
        .collect();
    // Which one, the line itself says: all of them would be all that a second has time for.
    let sum: usize = bytes.iter().map(|byte| usize::from(*byte)).sum();
    let context = contexts[sum % contexts.len()].as_ref();
    match parse(context, line) {
        Ok(Line::Edit(edit)) => {
            if let Ok(edited) = EXAMPLE.edited(&edit.ops) {
                same_when_read_back(&edited.config);
            }
        }
        Ok(Line::Nothing | Line::Command(_)) => {}
        Err(error) => {
            assert!(
                line.get(error.span.clone()).is_some(),
                "{error:?} is not in {line:?}"
            );
            assert!(error.expectation().is_some(), "{error:?}");
            assert!(error.report(line, 3).contains("% "));
        }
    }
    let _ = help(context, Privilege::Admin, line);
    let found = complete(context, line, &mut |_, _| vec!["x1".to_owned()]);
    assert!(line.get(found.replace).is_some());
}

/// A file: what is read without a mistake is the same when it was written and read again.
pub fn config_file(bytes: &[u8]) {
    let loaded = load(bytes);
    let lines = bytes.split(|byte| *byte == b'\n').count();
    for problem in &loaded.problems {
        if let Some(span) = problem.span {
            assert!(
                span.line as usize <= lines && span.line > 0 && span.column > 0,
                "{problem:?}"
            );
        }
    }
    if loaded.errors().next().is_none() {
        same_when_read_back(&loaded.config);
    }
}

/// A message of the control socket: one meaning, one encoding; and a change that it asks for is one that could have
/// been typed.
pub fn control_codec(bytes: &[u8]) {
    if let Ok(request) = codec::decode::<Request>(bytes) {
        let frame = codec::encode(&request, codec::MAX_REQUEST).expect("not longer than what was read");
        assert_eq!(
            codec::decode::<Request>(&frame[codec::HEADER..]).as_ref(),
            Ok(&request)
        );
        if let RequestBody::Edit { ops, .. } | RequestBody::Try { ops } = &request.body {
            for config in [&Config::default(), &EXAMPLE] {
                if let Ok(edited) = config.edited(ops) {
                    same_when_read_back(&edited.config);
                }
            }
        }
    }
    if let Ok(response) = codec::decode::<Response>(bytes) {
        let frame = codec::encode(&response, codec::MAX_RESPONSE).expect("not longer than what was read");
        assert_eq!(
            codec::decode::<Response>(&frame[codec::HEADER..]).as_ref(),
            Ok(&response)
        );
    }
    let _ = codec::decode::<Hello>(bytes);
    let _ = codec::decode::<HelloReply>(bytes);
}

/// A file of keys: what is read without a mistake is the same when it was written and read again, and each mistake has its
/// place in the file.
pub fn authorized_keys(bytes: &[u8]) {
    match authorized_keys::parse(bytes) {
        Ok(keys) => {
            let lines: Vec<String> = keys
                .iter()
                .map(|(name, key)| format!("{name};{}", key.public_key))
                .collect();
            assert_eq!(
                authorized_keys::parse(lines.join("\n").as_bytes()).as_ref(),
                Ok(&keys)
            );
            let found = keys
                .keys()
                .take(10)
                .all(|name| authorized_keys::line_of(bytes, name).is_some());
            assert!(found, "a name without a line");
        }
        Err(problems) => {
            let lines = bytes.split(|byte| *byte == b'\n').count();
            assert!(!problems.is_empty());
            for problem in problems {
                let span = problem.span.expect("a place");
                assert!((1..=lines).contains(&(span.line as usize)), "{problem:?}");
                assert!(problem.expected.is_some(), "{problem:?}");
            }
        }
    }
}

/// Invitations as they are pasted, files of them at a hub, and what is presented: whatever is read is written in the same way
/// again.
pub fn invitation(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(read) = Invitation::parse(text)
    {
        let written = read.to_text().expect("it was read");
        let stripped: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        assert_eq!(written, stripped);
        assert_eq!(Invitation::parse(&written), Ok(read));
    }
    match register::parse(bytes) {
        Ok(read) => {
            assert_eq!(register::parse(read.to_text().as_bytes()).as_ref(), Ok(&read));
            assert_eq!(read.keys().len(), read.members().len());
            let used = read.invitations().len() - read.open();
            assert_eq!(used, read.members().len());
        }
        Err(text) => assert!(text.contains("expected: "), "{text}"),
    }
    if let Some(key) = invitation::presented(bytes) {
        assert_eq!(invitation::credential(key), bytes);
    }
}

fn same_when_read_back(config: &Config) {
    for host in config.named_hosts() {
        let _ = config.on_host(host);
    }
    for all in [false, true] {
        let text = render(config, all);
        let loaded = load(text.as_bytes());
        assert_eq!(loaded.errors().next(), None, "{text}");
        assert_eq!(render(&loaded.config, all), text);
        // What is at its default is said in the second, and not in the first.
        assert!(all || loaded.config == *config, "{text}");
    }
}

static EXAMPLE: LazyLock<Config> = LazyLock::new(|| load(EXAMPLE_FILE.as_bytes()).config);
const EXAMPLE_FILE: &str = "\
interface knet0
 private-key file a.key
 local 0 192.0.2.1 port 7700
 peer-group g
  policy active
  link 0 timers 500 2000
 peer a
  public-key 3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=
  group g
  link 0 local 0 remote 203.0.113.7 port 7700
 mesh m
  member h public-key iUSrnkYs2bbU0PXEnDwc4oZZBmlvvUqQGxaqZCixJgg=
   link 0 192.0.2.1
host h
 interface knet0
  peer a
   link 0
    priority 3
";

/// Files of certificates, revocation lists and authorities, and what is in them: whatever is read is written in the same
/// way again.
pub fn certificate(bytes: &[u8]) {
    let certificate = |bytes: &[u8]| {
        let Ok(read) = SignedCertificate::parse(bytes) else {
            return;
        };
        let (message, signature) = read.signed();
        let signature = signature.try_into().expect("the length of a signature");
        assert_eq!(read.certificate().to_be_signed().as_ref(), Ok(&message));
        let again = SignedCertificate::new(read.certificate().clone(), signature).expect("it was read");
        assert_eq!(again.as_bytes(), bytes);
        let file = armor::write(Label::Certificate, bytes);
        let blocks = armor::read(Label::Certificate, file.as_bytes()).expect("what was written");
        assert_eq!(blocks[0].bytes, bytes);
    };
    let list = |bytes: &[u8]| {
        let Ok(read) = SignedRevocationList::parse(bytes) else {
            return;
        };
        let (_, signature) = read.signed();
        let signature = signature.try_into().expect("the length of a signature");
        assert_eq!(
            SignedRevocationList::new(read.list().clone(), signature).as_bytes(),
            bytes
        );
        for serial in read.list().serials.iter().take(10) {
            assert!(read.list().revokes(*serial));
        }
    };
    certificate(bytes);
    list(bytes);
    for block in armor::read(Label::Certificate, bytes).into_iter().flatten() {
        certificate(&block.bytes);
    }
    for block in armor::read(Label::RevocationList, bytes).into_iter().flatten() {
        list(&block.bytes);
    }
    if let Ok(authorities) = authority::parse(bytes) {
        let lines: Vec<String> = authorities.iter().map(Authority::line).collect();
        assert_eq!(authority::parse(lines.join("\n").as_bytes()), Ok(authorities));
    }
}
