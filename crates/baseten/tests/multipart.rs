//! Forms: framed by core, their files read while they are sent. Both facades.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

#[macro_use]
#[path = "facades/both.rs"]
mod both;

use baseten::{ErrorKind, Method};
use baseten_emulator::{Answer, Arrival, Emulator};

/// The parts, split at the boundary that the head names.
fn parts(arrival: &Arrival) -> Vec<Vec<u8>> {
    let kind = arrival.header("content-type").unwrap();
    let boundary = kind.strip_prefix("multipart/form-data; boundary=").unwrap();
    let (line, body) = (format!("--{boundary}"), &arrival.body[..]);
    let starts: Vec<usize> =
        (0..body.len()).filter(|&at| body[at..].starts_with(line.as_bytes())).collect();
    assert!(body.ends_with(format!("{line}--\r\n").as_bytes()));
    starts.windows(2).map(|pair| body[pair[0] + line.len() + 2..pair[1] - 2].to_vec()).collect()
}

both! {
    fn a_transcription_streams_its_file() {
        let emulator = Emulator::builder().keep_body(2 << 20).start().unwrap();
        let model = client!(emulator).model("abc").unwrap();
        let audio: &'static [u8] = vec![7; 1 << 20].leak();
        for known in [true, false] {
            let mut file = facade::Upload::new(audio);
            if known {
                file = file.with_length(audio.len() as u64);
            }
            let form = facade::Multipart::new().text("model", "whisper-1").file("file", "a.wav", "audio/wav", file);
            let form = form.text("language", "de");
            let openai = model.openai().unwrap();
            wait(openai.request(Method::POST, "audio/transcriptions").multipart(form).send()).unwrap();
            let seen = emulator.seen();
            let arrival = seen.last().unwrap();
            assert!(arrival.path.ends_with("/sync/v1/audio/transcriptions"));
            assert_eq!(arrival.header("content-length").is_some(), known);
            let parts = parts(arrival);
            assert_eq!(parts.len(), 3);
            assert_eq!(parts[0], b"Content-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1");
            let head = b"Content-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\n";
            assert!(parts[1] == [&head[..], audio].concat());
            assert_eq!(parts[2], b"Content-Disposition: form-data; name=\"language\"\r\n\r\nde");
        }
    }

    fn a_form_that_is_here_can_be_sent_again_and_one_with_a_reader_cannot() {
        let emulator = Emulator::start().unwrap();
        let model = client!(emulator).model("abc").unwrap();
        let busy = Answer::platform_error(429).header("retry-after-ms", "1");
        emulator.model("abc").answer(busy);
        let form = facade::Multipart::new().text("a", "1").bytes("f", "x", "text/plain", "hi");
        wait(model.request().multipart(form).send()).unwrap_err();
        assert_eq!(emulator.seen().arrivals().len(), 3);
        emulator.forget();
        let file = facade::Upload::new(&b"hi"[..]);
        let form = facade::Multipart::new().file("f", "x", "text/plain", file);
        wait(model.request().multipart(form).send()).unwrap_err();
        assert_eq!(emulator.seen().arrivals().len(), 1);
    }

    fn every_form_has_a_boundary_of_its_own_and_a_bad_part_is_named() {
        let emulator = Emulator::start().unwrap();
        let model = client!(emulator).model("abc").unwrap();
        for _ in 0..3 {
            let form = facade::Multipart::new().text("a", "1");
            wait(model.sync(Method::POST, "x").multipart(form).send()).unwrap();
        }
        let seen = emulator.seen();
        let kinds: std::collections::HashSet<_> =
            seen.arrivals().iter().map(|arrival| arrival.header("content-type")).collect();
        assert_eq!(kinds.len(), 3);
        let form = facade::Multipart::new().bytes("f", "x", "a\nb", "");
        let error = wait(model.request().multipart(form).send()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Request);
        assert!(error.to_string().contains("the content type of part \"f\""), "{error}");
        assert_eq!(emulator.seen().arrivals().len(), 3);
    }
}
