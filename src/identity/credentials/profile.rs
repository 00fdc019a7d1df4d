//! Profiles of the Alibaba Cloud CLI (`~/.aliyun/config.json`) and of the SDKs
//! (`~/.alibabacloud/credentials.ini`).

use std::path::Path;

use serde::Deserialize;

use super::fetched::{FetchError, Fetched, access_key};

/// `config.json`. Unknown fields are ignored.
#[derive(Deserialize)]
struct CliConfig {
    current: Option<String>,
    #[serde(default)]
    profiles: Vec<CliProfile>,
}

#[derive(Deserialize)]
struct CliProfile {
    name: String,
    mode: Option<String>,
    access_key_id: Option<String>,
    access_key_secret: Option<String>,
    sts_token: Option<String>,
}

/// Returns the access key of the profile `name` in `text`, the content of the file at `path`. The file is JSON
/// if its name ends in `.json`, otherwise INI.
///
/// # Errors
///
/// [`FetchError`], for a malformed text, an absent profile, an unsupported mode or type, and fields that are
/// missing or invalid.
pub(super) fn parse(path: &Path, text: &[u8], name: Option<&str>) -> Result<Fetched, FetchError> {
    let key = if path.extension().is_some_and(|ending| ending == "json") {
        json(text, name)
    } else {
        ini(text, name.unwrap_or("default"))
    };
    Ok(Fetched {
        key: key?,
        expires: None,
    })
}

fn json(text: &[u8], name: Option<&str>) -> Result<crate::config::AccessKey, FetchError> {
    // The message of serde may contain a value of the file, so only the position of the error is kept.
    let config: CliConfig = serde_json::from_slice(text)
        .map_err(|error| FetchError::Json(error.line(), error.column()))?;
    let name = name.or(config.current.as_deref()).unwrap_or("default");
    let mut profiles = config.profiles.into_iter();
    let Some(profile) = profiles.find(|profile| profile.name == name) else {
        return Err(FetchError::NoProfile(name.to_owned()));
    };
    let names = ["access_key_id", "access_key_secret", "sts_token"];
    let token = match profile.mode.as_deref() {
        Some("AK") => None,
        Some("StsToken") => match profile.sts_token {
            Some(token) if !token.is_empty() => Some(token),
            Some(_) | None => return Err(FetchError::Missing("sts_token")),
        },
        Some(_) | None => {
            return Err(FetchError::Unsupported {
                field: "mode",
                supported: "`AK`, `StsToken`",
            });
        }
    };
    access_key(
        names,
        profile.access_key_id,
        profile.access_key_secret,
        token,
    )
}

fn ini(text: &[u8], name: &str) -> Result<crate::config::AccessKey, FetchError> {
    const NAMES: [&str; 3] = ["access_key_id", "access_key_secret", "security_token"];
    let text = std::str::from_utf8(text).map_err(|_| FetchError::Ini(1))?;
    let mut is_inside = false;
    let mut is_found = false;
    let mut kind = None;
    let mut values: [Option<String>; 3] = [None, None, None];
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(section) = line
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'))
        {
            is_inside = section.trim() == name;
            is_found |= is_inside;
            continue;
        }
        let (key, value) = line.split_once('=').ok_or(FetchError::Ini(number + 1))?;
        if !is_inside {
            continue;
        }
        let (key, value) = (key.trim(), value.trim());
        if key == "type" {
            kind = Some(value);
        }
        let slot = NAMES.iter().position(|known| *known == key);
        if let Some(slot) = slot.and_then(|place| values.get_mut(place)) {
            *slot = Some(value.to_owned());
        }
    }
    if !is_found {
        return Err(FetchError::NoProfile(name.to_owned()));
    }
    let [id, secret, token] = values;
    let token = match kind {
        Some("access_key") => None,
        Some("sts") => match token {
            Some(token) if !token.is_empty() => Some(token),
            Some(_) | None => return Err(FetchError::Missing("security_token")),
        },
        Some(_) | None => {
            return Err(FetchError::Unsupported {
                field: "type",
                supported: "`access_key`, `sts`",
            });
        }
    };
    access_key(NAMES, id, secret, token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(path: &str, text: &str, name: Option<&str>) -> Result<String, String> {
        let found = parse(Path::new(path), text.as_bytes(), name);
        let key = found.map_err(|error| error.to_string())?.key;
        let token = key.security_token.as_ref();
        Ok(format!(
            "{} {} {}",
            key.id,
            key.secret.reveal(),
            token.map_or("-", |token| token.reveal())
        ))
    }

    #[test]
    fn a_profile_of_the_cli_is_read() {
        let text = r#"{"current":"b","meta_path":"x","profiles":[
            {"name":"a","mode":"AK","access_key_id":"ia","access_key_secret":"sa","sts_token":"old","region_id":"cn-hangzhou"},
            {"name":"b","mode":"StsToken","access_key_id":"ib","access_key_secret":"sb","sts_token":"tb"},
            {"name":"c","mode":"StsToken","access_key_id":"ic","access_key_secret":"sc","sts_token":""},
            {"name":"d","mode":"AK","access_key_id":"","access_key_secret":"sd"},
            {"name":"e","mode":"RamRoleArn","access_key_id":"ie","access_key_secret":"se"},
            {"name":"f","access_key_id":"if","access_key_secret":"sf"}]}"#;
        let unsupported = "the `mode` of the profile is not supported; supported: `AK`, `StsToken`";
        for (name, expected) in [
            (Some("a"), Ok("ia sa -")),
            (None, Ok("ib sb tb")),
            (Some("c"), Err("`sts_token` is missing or empty")),
            (Some("d"), Err("`access_key_id` is missing or empty")),
            (Some("e"), Err(unsupported)),
            (Some("f"), Err(unsupported)),
            (Some("g"), Err("there is no profile `g`")),
        ] {
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(outcome("config.json", text, name), expected, "{name:?}");
        }
        assert!(outcome("config.json", "x", None).is_err());
        assert_eq!(
            outcome("config.json", "{}", None),
            Err("there is no profile `default`".to_owned())
        );
    }

    #[test]
    fn a_profile_of_the_sdks_is_read() {
        let text = "# comment\n[default]\ntype = access_key\naccess_key_id=i\n access_key_secret = s=1 \n; x\n\
                    [sts]\ntype=sts\naccess_key_id=is\naccess_key_secret=ss\nsecurity_token=ts\nunknown=1\n\
                    [half]\ntype=sts\naccess_key_id=is\naccess_key_secret=ss\n[role]\ntype=ecs_ram_role\n";
        let unsupported =
            "the `type` of the profile is not supported; supported: `access_key`, `sts`";
        for (name, expected) in [
            (None, Ok("i s=1 -")),
            (Some("sts"), Ok("is ss ts")),
            (Some("half"), Err("`security_token` is missing or empty")),
            (Some("role"), Err(unsupported)),
            (Some("x"), Err("there is no profile `x`")),
        ] {
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(outcome("credentials.ini", text, name), expected, "{name:?}");
        }
        let broken = outcome("credentials.ini", "[default]\nhunter2\n", None);
        assert_eq!(
            broken,
            Err("line 2 is no section, key or comment".to_owned())
        );
    }
}
