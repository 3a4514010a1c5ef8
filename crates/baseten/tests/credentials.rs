//! Credentials out of the files of Baseten's own tools. Both facades.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

#[macro_use]
#[path = "facades/both.rs"]
mod both;

use baseten_emulator::{DUMMY_KEY, Emulator};

both! {
    fn a_file_gives_the_key_that_is_sent() {
        let emulator = Emulator::start().unwrap();
        let module = module_path!().replace("::", "-");
        let folder = std::env::temp_dir().join(format!("baseten-{}-{module}-{:?}", std::process::id(), std::thread::current().id()));
        std::fs::create_dir(&folder).unwrap();
        let (trussrc, auth) = (folder.join("trussrc"), folder.join("auth.json"));
        std::fs::write(&trussrc, format!("[baseten]\napi_key = {DUMMY_KEY}\n")).unwrap();
        std::fs::write(&auth, format!(r#"{{"profiles":{{"a":{{"api_key":"{DUMMY_KEY}"}}}}}}"#)).unwrap();
        let missing = facade::ClientBuilder::from_trussrc(folder.join("none"), None).unwrap_err();
        for builder in [
            facade::ClientBuilder::from_trussrc(&trussrc, Some("baseten")).unwrap(),
            facade::ClientBuilder::from_cli_auth(&auth, None).unwrap(),
        ] {
            let model = builder.base_url(emulator.base_url("abc")).build().unwrap().model("abc").unwrap();
            wait(model.predict::<_, serde_json::Value>(&1)).unwrap();
            let sent = emulator.seen().last().unwrap().header("authorization").unwrap().to_owned();
            assert_eq!(sent, format!("Bearer {DUMMY_KEY}"));
        }
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(missing.to_string().contains("none cannot be read"), "{missing}");
    }
}
