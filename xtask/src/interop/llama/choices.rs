//! What is asked of an answer beside its words: how many there are, how probable each token was, and a
//! text to stop at.

use baseten::Error;
use baseten::openai::{ChatRequest, ChatResponse, Choice, FinishReason, TokenLogprob};

use super::Llama;
use super::chat::question;
use crate::interop::case::{Case, Found};
use crate::interop::edge::Edge;

#[rustfmt::skip]
pub(super) const CASES: &[Case<Llama>] = &[
    Case { name: "two answers", requests: 1, run: two,
        expect: "at 0 something, \"length\"; at 1 something, \"length\"" },
    Case { name: "two answers, streamed", requests: 2, run: two_streamed,
        expect: "pieces of 0 and 1 in turn, put together the two whole answers, Done" },
    Case { name: "probabilities", requests: 1, run: probabilities,
        expect: "24 tokens, whose bytes are the text, each the likeliest of its 2 or less likely" },
    Case { name: "probabilities, streamed", requests: 2, run: probabilities_streamed,
        expect: "a token to a piece, together the 24 of the whole answer, as probable" },
    Case { name: "a text to stop at", requests: 2, run: stop,
        expect: "what comes before it, \"stop\"" },
    Case { name: "a text to stop at, streamed", requests: 2, run: stop_streamed,
        expect: "what comes before it, \"stop\", Done" },
];

fn two(llama: &Llama, _: &Edge) -> Result<Found, Error> {
    let answer = llama.engine.chat(&pair())?.value;
    let told: Vec<String> = answer.choices.iter().map(choice).collect();
    Ok(told.join("; ").into())
}

/// A stream is whole only when each of its answers has its reason.
fn two_streamed(llama: &Llama, _: &Edge) -> Result<Found, Error> {
    let whole = llama.engine.chat(&pair())?.value;
    let mut stream = llama.engine.chat_stream(&pair())?;
    let mut texts = [String::new(), String::new()];
    let mut turns = Vec::new();
    while let Some(chunk) = stream.chunk()? {
        for choice in &chunk.choices {
            let Some(text) = texts.get_mut(choice.index as usize) else {
                return Ok(format!("a piece of {}", choice.index).into());
            };
            text.push_str(choice.delta.content.as_deref().unwrap_or_default());
            turns.push(choice.index);
        }
    }
    let (first, second) = (turns.iter().position(|at| *at == 1), turns.len());
    let in_turn = first.is_some_and(|first| turns[first..second].contains(&0));
    let turns = if in_turn { "in turn" } else { "one after the other" };
    let said = |answer: &ChatResponse| -> Vec<String> {
        answer.choices.iter().map(|choice| choice.message.text().into_owned()).collect()
    };
    let (whole, together) = (said(&whole), said(stream.partial()));
    let same = match whole == texts && whole == together {
        true => "the two whole answers".to_owned(),
        false => format!("{texts:?} and {together:?} where the whole are {whole:?}"),
    };
    let end = stream.end().map_or_else(String::new, |end| format!("{end:?}"));
    Ok(format!("pieces of 0 and 1 {turns}, put together {same}, {end}").into())
}

fn probabilities(llama: &Llama, _: &Edge) -> Result<Found, Error> {
    let answer = llama.engine.chat(&probable())?.value;
    let tokens = tokens(&answer);
    let bytes: Vec<u8> = tokens.iter().flat_map(|t| t.bytes.clone().unwrap_or_default()).collect();
    let of = if bytes == answer.text().as_bytes() { "the text" } else { "other than the text" };
    let likely = |token: &TokenLogprob| {
        let top = &token.top_logprobs;
        top.len() == 2 && top[0].logprob >= top[1].logprob && token.logprob <= top[0].logprob
    };
    let odd = tokens.iter().find(|token| !likely(token));
    let each = odd.map_or_else(
        || "each the likeliest of its 2 or less likely".to_owned(),
        |token| format!("but {token:?}"),
    );
    Ok(format!("{} tokens, whose bytes are {of}, {each}", tokens.len()).into())
}

/// The prompt is worked through again or taken out of the cache, so the last digits may differ.
fn probabilities_streamed(llama: &Llama, _: &Edge) -> Result<Found, Error> {
    let whole = llama.engine.chat(&probable())?.value;
    let mut stream = llama.engine.chat_stream(&probable())?;
    let mut most = 0;
    while let Some(chunk) = stream.chunk()? {
        let counts = chunk.choices.iter().flat_map(|choice| &choice.logprobs);
        most = counts.map(|logprobs| logprobs.content.len()).max().unwrap_or(0).max(most);
    }
    let (whole, streamed) = (tokens(&whole), tokens(stream.partial()));
    let close = |(one, other): (&TokenLogprob, &TokenLogprob)| {
        one.token == other.token && (one.logprob - other.logprob).abs() < 0.001
    };
    let same = whole.len() == streamed.len() && whole.iter().zip(streamed).all(close);
    let to_a_piece = if most == 1 { "a token".to_owned() } else { format!("{most} tokens") };
    let count = streamed.len();
    Ok(match same {
        true => format!(
            "{to_a_piece} to a piece, together the {count} of the whole answer, as probable"
        ),
        false => format!("{streamed:?} where the whole has {whole:?}"),
    }
    .into())
}

fn stop(llama: &Llama, _: &Edge) -> Result<Found, Error> {
    let (before, request) = stopping(llama)?;
    Ok(stopped(&before, &llama.engine.chat(&request)?.value).into())
}

/// What might become the text to stop at is held back, and must not be lost or told.
fn stop_streamed(llama: &Llama, _: &Edge) -> Result<Found, Error> {
    let (before, request) = stopping(llama)?;
    let mut stream = llama.engine.chat_stream(&request)?;
    let mut text = String::new();
    while let Some(chunk) = stream.chunk()? {
        text += chunk.text();
    }
    let all = stream.partial();
    let end = stream.end().map_or_else(String::new, |end| format!("{end:?}"));
    if text != all.text() {
        return Ok(format!("{text:?} in pieces, {:?} together", all.text()).into());
    }
    Ok(format!("{}, {end}", stopped(&before, all)).into())
}

fn pair() -> ChatRequest {
    let mut request = question();
    request.n = Some(2);
    request
}

fn probable() -> ChatRequest {
    let mut request = question();
    (request.logprobs, request.top_logprobs) = (Some(true), Some(2));
    request
}

/// Three letters out of the middle of an answer, as what the same is to stop at; and what it says before.
fn stopping(llama: &Llama) -> Result<(String, ChatRequest), Error> {
    let whole = llama.engine.chat(&question())?.value.text().into_owned();
    let letters: Vec<char> = whole.chars().collect();
    let middle = letters.len() / 2;
    let text: String = letters.iter().skip(middle).take(3).collect();
    let before = whole.split(&text).next().unwrap_or_default().to_owned();
    Ok((before, question().stop(text)))
}

fn stopped(before: &str, answer: &ChatResponse) -> String {
    let reason = answer.finish_reason().map_or("", FinishReason::as_str);
    match !before.is_empty() && answer.text() == before {
        true => format!("what comes before it, {reason:?}"),
        false => format!("{:?} where {before:?} comes before it, {reason:?}", answer.text()),
    }
}

fn choice(choice: &Choice) -> String {
    let said = if choice.message.text().trim().is_empty() { "nothing" } else { "something" };
    let reason = choice.finish_reason.as_ref().map_or("", FinishReason::as_str);
    format!("at {} {said}, {reason:?}", choice.index)
}

fn tokens(answer: &ChatResponse) -> &[TokenLogprob] {
    let logprobs = answer.choices.first().and_then(|choice| choice.logprobs.as_ref());
    logprobs.map_or(&[], |logprobs| &logprobs.content)
}
