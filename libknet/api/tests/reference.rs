//! The reference page is what the tables say. `KNET_UPDATE_REFERENCE=1` writes it anew.

use std::{env, fs, path::Path};

use knet_api::reference::markdown;

#[test]
fn the_reference_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("reference.md");
    if env::var_os("KNET_UPDATE_REFERENCE").is_some() {
        fs::write(&path, markdown()).expect("the page");
    }
    let page = fs::read_to_string(&path).expect("the page");
    assert!(
        page == markdown(),
        "libknet/api/reference.md is old: KNET_UPDATE_REFERENCE=1 cargo test -p knet-api"
    );
}
