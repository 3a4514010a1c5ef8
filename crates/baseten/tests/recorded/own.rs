//! Answers of our emulator, as it writes them, and shapes that no server showed when we recorded.

use std::io::{Read, Write};
use std::net::TcpStream;

use baseten::{Bytes, Delivery};
use baseten_emulator::{Answer, DUMMY_KEY, Emulator, Fault, When};
use serde_json::json;

use super::{Recorded, Says};

/// By hand: what may be in chunk framing, and bodies without any.
const BY_HAND: &[(&str, &str)] = &[
    (
        "trailers",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n\
         003;a=b;c=\"d\"\r\none\r\nD\r\n two\r\n\r\nthree\r\n0;last\r\nx-sum: 1\r\nx-more: 2\r\n\r\n",
    ),
    ("until close", "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\nuntil close"),
    ("HTTP/1.0", "HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nolder"),
    ("HTTP/1.0 refuses", "HTTP/1.0 503 Busy\r\n\r\nbusy"),
];

/// Our own answers.
pub(crate) fn own() -> Vec<Recorded> {
    let own = Own(Emulator::start().unwrap());
    let predict = "production/predict";
    let says = Says::Always;
    let sse = [json!({"choices": [{"index": 0, "delta": {"content": "hi"}}]}).to_string()];
    let mut all = vec![
        own.read("echo", None, predict, says(Delivery::Answered)),
        own.read("async_predict", None, "async_predict", says(Delivery::Answered)),
        own.read("embeddings", Some(embeddings()), predict, says(Delivery::Answered)),
        own.read("stream", Some(Answer::stream(["to", "ken"])), predict, says(Delivery::Answered)),
        own.read("sse", Some(Answer::sse(sse)), predict, says(Delivery::Answered)),
        own.read("204", Some(Answer::status(204)), predict, says(Delivery::Answered)),
        own.read("not_ready", Some(Answer::not_ready()), predict, Says::RefusedByAll),
    ];
    for (name, status, delivery) in [
        ("platform 402", 402, Delivery::Answered),
        ("platform 429", 429, Delivery::Refused),
        ("platform 504", 504, Delivery::MaybeRan),
        ("platform 529", 529, Delivery::Refused),
    ] {
        all.push(own.read(name, Some(Answer::platform_error(status)), predict, says(delivery)));
    }
    own.0.inject(When::Request(0), Fault::interim(103));
    own.0.inject(When::Request(0), Fault::interim(102));
    let echo = Answer::json(json!({"after": "two heads that only announce it"}));
    all.push(own.read("1xx first", Some(echo), predict, says(Delivery::Answered)));
    for (name, raw) in BY_HAND {
        let delivery = if raw.contains(" 503 ") { Delivery::Refused } else { Delivery::Answered };
        all.push(Recorded::new(name, Bytes::from_static(raw.as_bytes()), says(delivery)));
    }
    all.extend(own.compressed());
    all
}

fn embeddings() -> Answer {
    Answer::json(json!({"object": "list", "model": "m", "usage": {"prompt_tokens": 1},
        "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -1.5]}]}))
}

struct Own(Emulator);

impl Own {
    /// The bytes of an answer, its own where none is given.
    fn read(&self, name: &'static str, answer: Option<Answer>, path: &str, says: Says) -> Recorded {
        if let Some(answer) = answer {
            self.0.model("abc").answer(answer);
        }
        let mut stream = TcpStream::connect(self.0.addr()).unwrap();
        let body = r#"{"model_input":1}"#;
        write!(
            stream,
            "POST /model/abc/{path} HTTP/1.1\r\nhost: x\r\nauthorization: Api-Key {DUMMY_KEY}\r\n\
             connection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len(),
        )
        .unwrap();
        let mut raw = Vec::new();
        stream.read_to_end(&mut raw).unwrap();
        Recorded::new(name, raw.into(), says)
    }

    #[cfg(feature = "compression")]
    fn compressed(&self) -> Vec<Recorded> {
        const PLAIN: &[u8] = include_bytes!("../encodings/answer.json");
        const GZIP: &[u8] = include_bytes!("../encodings/answer.json.gz");
        const ZSTD: &[u8] = include_bytes!("../encodings/answer.json.zst");
        let chunks = GZIP.chunks(100).map(<[u8]>::to_vec);
        let rows = [
            ("gzip", Answer::bytes("application/json", GZIP).header("content-encoding", "gzip")),
            ("gzip in chunks", Answer::stream(chunks).header("content-encoding", "gzip")),
            ("zstd", Answer::bytes("application/json", ZSTD).header("content-encoding", "zstd")),
        ];
        let read = |(name, answer)| {
            let says = Says::Always(Delivery::Answered);
            let recorded = self.read(name, Some(answer), "production/predict", says);
            Recorded { plain: Some(PLAIN), ..recorded }
        };
        rows.map(read).into()
    }

    #[cfg(not(feature = "compression"))]
    fn compressed(&self) -> Vec<Recorded> {
        Vec::new()
    }
}
