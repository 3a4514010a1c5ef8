//! OpenAI-shaped JSON and stream decoding for Baseten engines and compatible servers, without any I/O.
