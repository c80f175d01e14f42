//! Lines as somebody types them.

use knet_api::{
    edit::Context,
    grammar::{Line, parse},
    model::Config,
};

/// The configuration with these lines typed into it where `here` is, or what is said of the first that is refused.
pub(crate) fn edited(config: &Config, here: Context, lines: &[&str]) -> Result<Config, String> {
    let (mut config, mut here) = (config.clone(), here);
    for line in lines {
        let Ok(Line::Edit(edit)) = parse(Some(&here), line) else {
            panic!("{line}");
        };
        config = config
            .edited(&edit.ops)
            .map_err(|problems| problems[0].to_string())?
            .config;
        here = edit.enter.unwrap_or(here);
    }
    Ok(config)
}
