//! How large messages and frames may be, both ways, and how much is kept for a server that takes nothing.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod common;

use std::io::{Read, Write};

use baseten_core::Delivery;
use baseten_emulator::Emulator;
use baseten_transport::nonblocking::Upgrade;
use baseten_websocket::{CloseCode, ErrorKind, Message, Options, WebSocket};
use bytes::Bytes;
use common::{connect, peer, upgrade, upgrade_at};

/// 100 MiB.
const DEFAULT: usize = 104_857_600;

/// The head of a frame from a server: final or not, of this length.
fn head(first: u8, length: u64) -> Vec<u8> {
    let mut head = vec![first, 127];
    head.extend_from_slice(&length.to_be_bytes());
    head
}

/// A WebSocket to a server that writes this and then listens until it is left.
fn to_writer(bytes: Vec<u8>) -> Upgrade {
    let (hosts, _server) = peer(b"", move |mut socket| {
        socket.write_all(&bytes).unwrap();
        socket.read_to_end(&mut Vec::new()).ok();
    });
    upgrade_at(&hosts, baseten_transport::Options::default())
}

#[tokio::test]
async fn a_hundred_mebibytes_pass_and_a_byte_more_does_not() {
    let options = Options::default();
    assert_eq!((options.message_limit, options.frame_limit), (DEFAULT, DEFAULT));

    let (hosts, server) = peer(b"", |mut socket| {
        let mut frame = vec![0; 2 + 8 + 4 + DEFAULT];
        socket.read_exact(&mut frame).unwrap();
        assert_eq!(frame[..10], [&[0x82, 0x80 | 127][..], &104_857_600u64.to_be_bytes()].concat());
        socket.write_all(&head(0x82, 104_857_600)).unwrap();
        socket.write_all(&frame[14..]).unwrap();
        socket.write_all(&head(0x82, 104_857_601)).unwrap();
        let mut rest = Vec::new();
        socket.read_to_end(&mut rest).ok();
        rest
    });
    let upgrade = upgrade_at(&hosts, baseten_transport::Options::default());
    let mut socket = WebSocket::connect(&upgrade).await.unwrap();
    let error = socket.send_binary(vec![0; DEFAULT + 1]).await.unwrap_err();
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::TooLarge, Delivery::NotSent));
    let told = "a message of 104857601 bytes is over the limit of 104857600";
    assert!(error.to_string().contains(told), "{error}");
    socket.send_binary(vec![7; DEFAULT]).await.unwrap();
    let message = socket.receive().await.unwrap().unwrap();
    // Masked on the way there and so on the way back.
    assert_eq!(message.as_bytes().len(), DEFAULT);
    drop(message);
    // The head of the next one is enough.
    let error = socket.receive().await.unwrap_err();
    assert_eq!((error.kind(), error.messages()), (ErrorKind::TooLarge, (1, 1)));
    let told = "a message of at least 104857601 bytes came, over the limit of 104857600";
    assert!(error.to_string().contains(told), "{error}");
    drop(socket);
    let rest = server.join().unwrap();
    assert_eq!(rest[..2], [0x88, 0x82], "and a goodbye");
}

#[tokio::test]
async fn limits_hold_both_ways() {
    let options = Options { message_limit: 16, ..Options::default() };
    // One to be sent is refused, and the connection goes on.
    let emulator = Emulator::start().unwrap();
    let mut socket = WebSocket::connect_with(&upgrade(&emulator), &options).await.unwrap();
    let error = socket.send_text("a".repeat(17)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert_eq!(error.delivery(), Delivery::NotSent);
    let told = "a message of 17 bytes is over the limit of 16";
    assert!(error.to_string().contains(told), "{error}");
    assert!(error.to_string().ends_with("; nothing of it was sent"), "{error}");
    socket.send_text("a".repeat(11)).await.unwrap();
    let expect = Some(Message::from(format!("echo:{}", "a".repeat(11))));
    assert_eq!(socket.receive().await.unwrap(), expect);
    // One that comes ends it: `echo:` makes 17 of it.
    socket.send_text("a".repeat(12)).await.unwrap();
    let error = socket.receive().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    assert_eq!(error.messages(), (2, 1));
    assert_eq!(socket.receive().await.unwrap_err().kind(), ErrorKind::TooLarge, "and stays so");
    // The server has a limit, too.
    let emulator = Emulator::builder().max_body(16).start().unwrap();
    let mut socket = connect(&emulator).await;
    socket.send_text("a".repeat(17)).await.unwrap();
    let error = socket.receive().await.unwrap_err();
    assert_eq!(error.close().unwrap().code, CloseCode::TooBig, "{error}");
}

#[tokio::test]
async fn what_comes_is_measured_whole_and_by_the_frame() {
    let frame = |first: u8, length: u8| [&[first, length][..], &vec![b'a'; length.into()]].concat();
    let message = "a message of at least 17 bytes came, over the limit of 16";
    //   limits: message, frame   what comes                                       told, or how much came
    for (limits, bytes, expect) in [
        ((16, DEFAULT), frame(0x81, 16), Ok(16)),
        ((16, DEFAULT), frame(0x81, 17), Err(message)),
        // In frames, which are counted together.
        ((16, DEFAULT), [frame(0x01, 10), frame(0x80, 6)].concat(), Ok(16)),
        ((16, DEFAULT), [frame(0x01, 10), frame(0x80, 7)].concat(), Err(message)),
        ((16, DEFAULT), [frame(0x02, 10), frame(0x00, 6), frame(0x00, 1)].concat(), Err(message)),
        // Known by its head: nobody waits for the rest, nor keeps it.
        ((16, DEFAULT), head(0x81, 17), Err(message)),
        ((16, 8), [frame(0x01, 8), frame(0x80, 8)].concat(), Ok(16)),
        ((16, 8), head(0x82, 9), Err("a frame of 9 bytes came, over the limit of 8")),
        ((16, 8), [frame(0x02, 8), frame(0x00, 8), frame(0x80, 1)].concat(), Err(message)),
        ((0, DEFAULT), frame(0x81, 0), Ok(0)),
        (
            (0, DEFAULT),
            frame(0x81, 1),
            Err("a message of at least 1 bytes came, over the limit of 0"),
        ),
    ] {
        let options = Options { message_limit: limits.0, frame_limit: limits.1 };
        let upgrade = to_writer(bytes.clone());
        let mut socket = WebSocket::connect_with(&upgrade, &options).await.unwrap();
        match (socket.receive().await, expect) {
            (Ok(Some(message)), Ok(length)) => assert_eq!(message.as_bytes().len(), length),
            (Err(error), Err(told)) => {
                assert_eq!(error.kind(), ErrorKind::TooLarge, "{limits:?}: {error}");
                let told = format!("{told}; messages: none sent, 0 received");
                assert!(error.to_string().ends_with(&told), "{limits:?}: {error}");
            }
            (found, _) => panic!("{limits:?} {bytes:?}: {found:?}"),
        }
    }
}

#[tokio::test]
async fn answers_to_pings_do_not_pile_up() {
    const PINGS: usize = 300_000;
    let (hosts, server) = peer(b"", |mut socket| {
        let pings = [&[0x89, 125][..], &[b'p'; 125]].concat().repeat(1000);
        for _ in 0..PINGS / 1000 {
            socket.write_all(&pings).unwrap();
        }
        socket.write_all(b"\x81\x04done").unwrap();
        let (mut buffer, mut came) = (vec![0; 1 << 16], 0);
        loop {
            match socket.read(&mut buffer).unwrap() {
                0 => return came,
                read => came += read,
            }
        }
    });
    let upgrade = upgrade_at(&hosts, baseten_transport::Options::default());
    let options = Options { message_limit: 1024, ..Options::default() };
    let mut socket = WebSocket::connect_with(&upgrade, &options).await.unwrap();
    assert_eq!(socket.receive().await.unwrap(), Some("done".into()));
    socket.send_binary(Bytes::from_static(&[1; 1024])).await.unwrap();
    drop(socket);
    let came = server.join().unwrap();
    // The rest is what the sockets of this machine hold.
    assert!(came < PINGS * 131 / 2, "{came} bytes, and an answer has 131");
}
