//! Answers of generators: as they come, gathered, broken off by either side.

use std::time::{Duration, Instant};

use baseten::Error;
use baseten_core::sse::Decoder;
use serde_json::{Value, json};

use crate::interop::case::{Case, Found, SOON, refused};
use crate::interop::edge::Edge;
use crate::interop::facade::{Facade, Stream};

#[rustfmt::skip]
pub(crate) const CASES: &[Case<Facade>] = &[
    Case { name: "a paced generator", requests: 1, run: paced,
        expect: "\"piece 0;\" \"piece 1;\" \"piece 2;\" \"piece 3;\" end, Chunked, one by one" },
    Case { name: "a generator, gathered", requests: 1, run: gathered,
        expect: "\"piece 0;piece 1;piece 2;\", Length(26)" },
    Case { name: "an empty generator", requests: 1, run: empty,
        expect: "end, Chunked" },
    Case { name: "a stream read to its end, then a call", requests: 2, run: then_a_call,
        expect: "\"piece 0;\" \"piece 1;\" end, Chunked, connections: 1" },
    // Truss logs the exception and ends the body as if all were well: a 200, whole by all that HTTP
    // can show. The client hands out what came and ends without an error. Only an end marker of the
    // application (`[DONE]`, a `finish_reason`) could tell.
    Case { name: "a generator that raises midway", requests: 1, run: midway,
        expect: "\"piece 0;\" \"piece 1;\" end, Chunked" },
    Case { name: "a gathered generator that raises midway", requests: 1, run: midway_gathered,
        expect: "Status, 500, Answered: Unhandled exception: ValueError: the model failed on purpose, \
            midway" },
    Case { name: "server-sent events", requests: 1, run: events,
        expect: "application/octet-stream: {\"i\": 0}, {\"i\": \"é\"}, [DONE]" },
    Case { name: "a half-read stream, dropped", requests: 1, run: dropped,
        expect: "\"piece 0;\", then the server is left before its next piece" },
];

/// Between two pieces.
pub(super) const PAUSE: Duration = Duration::from_millis(200);

/// The boundaries are those of the chunks, whatever the network joins. That the pieces were not held
/// back shows in the time from the first to the last: at least half of what the model took.
fn paced(facade: &Facade, _: &Edge) -> Result<Found, Error> {
    pace(facade.predict_stream(&pieces(4, PAUSE))?)
}

pub(super) fn pace(mut stream: Stream) -> Result<Found, Error> {
    let first = piece(&mut stream)?;
    let start = Instant::now();
    let rest = read(&mut stream)?;
    let span = start.elapsed();
    let pace = if span > PAUSE * 3 / 2 { "one by one" } else { "all at once" };
    Ok(Found::from(format!("{first} {rest}, {pace}")).after(span))
}

fn gathered(facade: &Facade, _: &Edge) -> Result<Found, Error> {
    let answer = facade.predict::<_, String>(&pieces(3, Duration::ZERO))?;
    Ok(format!("{:?}, {:?}", answer.value, answer.meta.framing()).into())
}

fn empty(facade: &Facade, _: &Edge) -> Result<Found, Error> {
    Ok(read(&mut facade.predict_stream(&pieces(0, Duration::ZERO))?)?.into())
}

fn then_a_call(facade: &Facade, edge: &Edge) -> Result<Found, Error> {
    let words = read(&mut facade.predict_stream(&pieces(2, Duration::ZERO))?)?;
    facade.predict::<_, Value>(&json!({"do": "echo", "value": 1}))?;
    Ok(format!("{words}, connections: {}", edge.seen().opened).into())
}

fn midway(facade: &Facade, _: &Edge) -> Result<Found, Error> {
    Ok(read(&mut facade.predict_stream(&failing())?)?.into())
}

fn midway_gathered(facade: &Facade, _: &Edge) -> Result<Found, Error> {
    Ok(refused(facade.predict::<_, Value>(&failing())))
}

fn events(facade: &Facade, _: &Edge) -> Result<Found, Error> {
    let input = json!({"do": "events", "data": ["{\"i\": 0}", "{\"i\": \"é\"}"]});
    let mut stream = facade.predict_stream(&input)?;
    let (mut decoder, mut events) = (Decoder::default(), Vec::new());
    while let Some(chunk) = stream.chunk()? {
        decoder.push(chunk);
        while let Ok(Some(event)) = decoder.next() {
            events.push(String::from_utf8_lossy(&event.data).into_owned());
        }
    }
    let content_type = stream.meta().headers().get("content-type");
    let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
    Ok(format!("{content_type}: {}", events.join(", ")).into())
}

/// The time is from the drop to the edge having seen it.
fn dropped(facade: &Facade, edge: &Edge) -> Result<Found, Error> {
    let pause = Duration::from_secs(2);
    drop_early(facade.predict_stream(&pieces(5, pause))?, pause, edge)
}

pub(super) fn drop_early(mut stream: Stream, pause: Duration, edge: &Edge) -> Result<Found, Error> {
    let first = piece(&mut stream)?;
    let start = Instant::now();
    drop(stream);
    let left = edge.wait(SOON, |seen| seen.left_by_client == 1);
    let took = start.elapsed();
    let when = match left {
        true if took < pause => "the server is left before its next piece",
        true => "the server is left too late",
        false => "the connection stays",
    };
    Ok(Found::from(format!("{first}, then {when}")).after(took))
}

fn pieces(count: usize, pause: Duration) -> Value {
    json!({"do": "stream", "pieces": count, "pause": pause.as_secs_f64()})
}

fn failing() -> Value {
    json!({"do": "stream", "pieces": 4, "pause": 0, "fail_at": 2})
}

/// The next piece, or that there is none, in words.
fn piece(stream: &mut Stream) -> Result<String, Error> {
    Ok(match stream.chunk()? {
        Some(bytes) => format!("{:?}", String::from_utf8_lossy(&bytes)),
        None => "end".to_owned(),
    })
}

/// All that follows, piece by piece, and how its end was told.
pub(super) fn read(stream: &mut Stream) -> Result<String, Error> {
    let mut words = Vec::new();
    loop {
        words.push(piece(stream)?);
        if words.last().is_some_and(|word| word == "end") {
            return Ok(format!("{}, {:?}", words.join(" "), stream.meta().framing()));
        }
    }
}
