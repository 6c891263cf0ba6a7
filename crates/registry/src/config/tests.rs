//! Which source wins, what is refused, and how a value is shown.

use std::fs;
use std::path::Path;

use secrecy::ExposeSecret;

use super::*;

/// Loads with a data folder of its own, a file's text and an environment.
fn load(file: &str, environment: &[(&str, &str)]) -> Result<Config> {
    let data = tempfile::tempdir().unwrap();
    fs::write(data.path().join("lorakeep.toml"), file).unwrap();
    load_in(data.path(), environment)
}

fn load_in(data: &Path, environment: &[(&str, &str)]) -> Result<Config> {
    let flags = ConfigFlags { data_dir: Some(data.to_owned()), ..ConfigFlags::default() };
    Config::load(&flags, &|name| environment.iter().find(|pair| pair.0 == name).map(|pair| pair.1.to_owned()))
}

fn refusal(file: &str, environment: &[(&str, &str)]) -> String {
    let error = load(file, environment).expect_err("must be refused");
    assert_eq!(error.code(), "bad_configuration");
    error.to_string()
}

#[test]
fn defaults_are_those_of_the_documentation() {
    let config = Config::load(&ConfigFlags::default(), &|_| None).unwrap();
    assert_eq!(config.data_dir, std::path::absolute("data").unwrap());
    assert_eq!(config.models_dir, config.data_dir.join("models"));
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8000");
    assert_eq!(config.civitai.url.as_str(), "https://civitai.com/");
    assert_eq!(config.huggingface.url.as_str(), "https://huggingface.co/");
    assert_eq!(config.downloads.max_concurrent, 3);
    assert_eq!(config.downloads.bandwidth_bytes_per_second, None);
    assert_eq!(config.uploads.max_bytes, 500 * 1024 * 1024);
    assert!(!config.uploads.anonymous);
    assert_eq!(config.bin_days, 7);
    assert_eq!(config.repository.branch, "main");
    assert_eq!(config.server.time_zone, chrono_tz::UTC);
    assert!(config.database_url.is_none() && config.access.api_key.is_none());
}

#[test]
fn flags_beat_the_environment_which_beats_the_file() {
    let file = "models_dir = 'm'\n[downloads]\nmax_concurrent = 5\nbandwidth = 1000\n[server]\nlisten = '127.0.0.1:1'";
    let data = tempfile::tempdir().unwrap();
    fs::write(data.path().join("lorakeep.toml"), file).unwrap();
    let flags = ConfigFlags {
        data_dir: Some(data.path().to_owned()),
        listen: Some("127.0.0.1:3".to_owned()),
        ..ConfigFlags::default()
    };
    let config = Config::load(&flags, &|name| match name {
        "LORAKEEP_LISTEN" => Some("127.0.0.1:2".to_owned()),
        "MAX_CONCURRENT_DOWNLOADS" => Some("4".to_owned()),
        _ => None,
    })
    .unwrap();
    assert_eq!(config.server.listen.port(), 3);
    assert_eq!(config.downloads.max_concurrent, 4);
    assert_eq!(config.downloads.bandwidth_bytes_per_second, Some(1000));
    assert_eq!(config.models_dir, data.path().join("m"));
    let origin = |name: &str| config.shown().iter().find(|shown| shown.name == name).unwrap().origin;
    assert_eq!(origin("server.listen"), ValueOrigin::Flag);
    assert_eq!(origin("downloads.max_concurrent"), ValueOrigin::Environment);
    assert_eq!(origin("downloads.bandwidth"), ValueOrigin::File);
    assert_eq!(origin("bin.days"), ValueOrigin::Default);
}

#[test]
fn comfyui_gives_the_models_folder_unless_one_is_named() {
    let config = load("", &[("COMFYUI_DIR", "/opt/ComfyUI")]).unwrap();
    assert_eq!(config.models_dir, Path::new("/opt/ComfyUI/models"));
    assert_eq!(config.comfyui_input_dir().unwrap(), Path::new("/opt/ComfyUI/input"));
    let config =
        load("", &[("COMFYUI_DIR", "/opt/ComfyUI"), ("LORAKEEP_MODELS_DIR", "/srv/models")]).unwrap();
    assert_eq!(config.models_dir, Path::new("/srv/models"));
}

#[test]
fn secrets_are_kept_but_never_shown() {
    let database = "postgres://someone:sesame@db/lorakeep";
    let environment =
        [("API_KEY", "sesame-1"), ("HF_TOKEN", "sesame-2"), ("LORAKEEP_DATABASE_URL", database)];
    let config = load("", &environment).unwrap();
    assert_eq!(config.access.api_key.as_ref().unwrap().expose_secret(), "sesame-1");
    assert_eq!(config.database_url.as_ref().unwrap().expose_secret(), database);
    assert!(!format!("{config:?}").contains("sesame"));
    let shown = config.shown().iter().find(|shown| shown.name == "database.url").unwrap();
    assert_eq!(shown.value.as_deref(), Some("postgres://someone:********@db/lorakeep"));
}

#[test]
fn an_empty_key_is_refused_and_an_empty_token_is_none() {
    assert!(refusal("", &[("API_KEY", "")]).contains("the environment variable `API_KEY` is empty"));
    assert!(
        refusal("[access]\njwt_secret = ' '", &[])
            .contains("`access.jwt_secret` in `lorakeep.toml` is empty")
    );
    assert!(refusal("", &[("API_KEY", "changeme")]).contains("everybody knows"));
    assert!(load("", &[("HF_TOKEN", ""), ("COMFYUI_URL", "")]).unwrap().huggingface.token.is_none());
}

#[test]
fn unknown_names_and_control_characters_are_refused() {
    assert!(refusal("[downloads]\nlisten = 'x'", &[]).contains("did you mean `server.listen`?"));
    assert!(refusal("data_dir = '/x'", &[]).contains("`data_dir` is not a setting"));
    assert!(refusal("a = 1", &[]).contains("`a` is not a setting"));
    assert!(refusal("[server]\nlisten = ", &[]).contains("line 2"));
    assert!(refusal("[server]\nlisten = 1.5", &[]).contains("must be a text"));
    let text = refusal("", &[("API_KEY", "secret\nvalue")]);
    assert!(text.contains("control character") && !text.contains("secret"), "{text}");
}

#[test]
fn values_out_of_bounds_name_the_setting_and_its_source() {
    assert_eq!(
        refusal("", &[("MAX_CONCURRENT_DOWNLOADS", "11")]),
        "the environment variable `MAX_CONCURRENT_DOWNLOADS` `11` is not a number from 1 to 10"
    );
    for (name, value) in [
        ("LORAKEEP_LISTEN", "8000"),
        ("LORAKEEP_TIME_ZONE", "Rome"),
        ("LORAKEEP_DATABASE_URL", "mysql://x"),
        ("HF_ENDPOINT", "ftp://x"),
        ("HF_ENDPOINT", "https://user:pass@x"),
        ("LORAKEEP_ALLOW_HOSTS", "http://x"),
        ("LORAKEEP_TRUSTED_PROXIES", "10.0.0.0/33"),
        ("LORAKEEP_CORS_ORIGINS", "*"),
        ("LORAKEEP_CORS_ORIGINS", "null"),
        ("LORAKEEP_BANDWIDTH", "fast"),
        ("LORAKEEP_BIN_DAYS", "-1"),
        ("REPO_BRANCH", "--upload-pack=x"),
    ] {
        assert!(refusal("", &[(name, value)]).contains(name), "{name}={value}");
    }
}

#[test]
fn data_may_hold_models_but_not_the_other_way_round() {
    let folder = tempfile::tempdir().unwrap();
    let models = folder.path().join("models");
    fs::create_dir(&models).unwrap();
    let models_text = models.to_str().unwrap();
    for data in [models.clone(), models.join("data/deep")] {
        let error = load_in(&data, &[("LORAKEEP_MODELS_DIR", models_text)]).expect_err("must be refused");
        assert!(error.to_string().contains("lies in the models folder"));
    }
    std::os::unix::fs::symlink(&models, folder.path().join("link")).unwrap();
    assert!(load_in(&folder.path().join("link/data"), &[("LORAKEEP_MODELS_DIR", models_text)]).is_err());
    assert!(load_in(folder.path(), &[("LORAKEEP_MODELS_DIR", models_text)]).is_ok());
    assert!(load_in(&folder.path().join("models-data"), &[("LORAKEEP_MODELS_DIR", models_text)]).is_ok());
}

#[test]
fn keys_do_not_lie_where_models_are_put() {
    let folder = tempfile::tempdir().unwrap();
    let models = folder.path().join("models");
    fs::create_dir(&models).unwrap();
    std::os::unix::fs::symlink(&models, folder.path().join("link")).unwrap();
    for name in ["LORAKEEP_JWT_PUBLIC_KEY", "LORAKEEP_JWT_JWKS"] {
        for key in ["models/key.pem", "link/deep/key.pem"] {
            let key = folder.path().join(key);
            let error =
                load_in(folder.path(), &[(name, key.to_str().unwrap())]).expect_err("must be refused");
            assert!(error.to_string().contains("keep keys outside of it"), "{error}");
        }
        let beside = folder.path().join("key.pem");
        assert!(load_in(folder.path(), &[(name, beside.to_str().unwrap())]).is_ok());
    }
}

#[test]
fn configured_upstreams_and_listed_hosts_are_trusted() {
    let config =
        load("", &[("HF_ENDPOINT", "http://127.0.0.1:9/"), ("LORAKEEP_ALLOW_HOSTS", "NAS.local, [::1]")]);
    let config = config.unwrap();
    for host in ["127.0.0.1", "civitai.com", "nas.local", "::1", "[::1]"] {
        assert!(config.is_trusted_host(host), "{host}");
    }
    assert!(!config.is_trusted_host("127.0.0.2"));
}

#[test]
fn lists_are_understood() {
    let extension = "abcdefghijklmnopabcdefghijklmnop";
    let origins = format!("https://A.example/, {extension}");
    let environment =
        [("LORAKEEP_CORS_ORIGINS", origins.as_str()), ("LORAKEEP_TRUSTED_PROXIES", "10.0.0.0/8,::1")];
    let server = load("", &environment).unwrap().server;
    assert_eq!(
        server.cors_origins,
        ["https://a.example", "chrome-extension://abcdefghijklmnopabcdefghijklmnop"]
    );
    let trusted =
        |address: &str| server.trusted_proxies.iter().any(|net| net.contains(address.parse().unwrap()));
    assert!(trusted("10.9.8.7") && trusted("::1") && trusted("::ffff:10.1.1.1"));
    assert!(!trusted("11.0.0.1") && !trusted("::2"));
}
