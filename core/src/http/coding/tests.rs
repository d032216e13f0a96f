use super::*;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

fn head(names: &str) -> ResponseHead {
    let mut head = ResponseHead::default();
    head.parse(format!("HTTP/1.1 200 OK\r\n{names}\r\n").as_bytes(), 100).unwrap();
    head
}

fn coding(names: &str, piece_bytes_max: usize) -> Result<Option<Coding>, String> {
    let head = head(names);
    Coding::of(&head, piece_bytes_max).map_err(|fault| fault.to_string())
}

fn one(name: &str) -> Coding {
    coding(&format!("Content-Encoding: {name}\r\n"), 1 << 20).unwrap().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn raw(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn unpack(mut coding: Coding, packed: &[u8], step: usize) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    for piece in packed.chunks(step) {
        coding.push(piece);
        while let Some(bytes) = coding.next().map_err(|fault| fault.to_string())? {
            out.extend(bytes);
        }
    }
    coding.finish().map_err(|fault| fault.to_string())?;
    Ok(out)
}

#[test]
fn every_coding_is_undone_in_pieces_of_any_size() {
    let text: Vec<u8> = (0..3_000u32).flat_map(|n| (n * 7919 % 251).to_string().into_bytes()).collect();
    let two_members = [gzip(&text[..100]), gzip(&text[100..])].concat();
    for (names, packed) in [
        ("gzip", gzip(&text)),
        ("X-GZIP", gzip(&text)),
        ("gzip", two_members),
        ("deflate", zlib(&text)),
        ("deflate", raw(&text)),
        ("identity, gzip", gzip(&text)),
        ("deflate, gzip", gzip(&zlib(&text))),
        ("gzip, deflate, x-gzip", gzip(&raw(&gzip(&text)))),
    ] {
        for step in [1, 2, 7, 1_000, packed.len()] {
            assert_eq!(unpack(one(names), &packed, step).as_deref(), Ok(&text[..]), "{names} {step}");
        }
    }
    let two_lines = "Content-Encoding: deflate\r\nContent-Encoding: gzip\r\n";
    let coding = coding(two_lines, 1 << 20).unwrap().unwrap();
    assert_eq!(unpack(coding, &gzip(&raw(&text)), 50), Ok(text));
}

#[test]
fn what_a_server_flushes_comes_out_at_once() {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    let mut coding = one("gzip");
    for n in 0..50 {
        let event = format!("data: {n}\n\n");
        gzip.write_all(event.as_bytes()).unwrap();
        gzip.flush().unwrap();
        let packed = std::mem::take(gzip.get_mut());
        let mut out = Vec::new();
        for piece in packed.chunks(3) {
            coding.push(piece);
            out.extend(coding.next().unwrap().unwrap());
        }
        assert_eq!(out, event.as_bytes());
    }
}

#[test]
fn what_is_not_packed_needs_nothing() {
    for names in
        ["", "Content-Encoding: identity\r\n", "Content-Encoding:\r\n", "Content-Encoding: , identity\r\n"]
    {
        assert!(coding(names, 10).unwrap().is_none(), "{names}");
    }
}

#[test]
fn other_codings_are_refused_by_name() {
    for name in ["br", "zstd", "compress", "gzip, br", "GZIP2"] {
        let why = coding(&format!("Content-Encoding: {name}\r\n"), 10).unwrap_err();
        let last = name.rsplit(", ").next().unwrap();
        assert!(why.contains(&format!("packed its answer as `{last}`")), "{why}");
    }
    let why = coding("Content-Encoding: gzip, gzip, gzip, gzip\r\n", 10).unwrap_err();
    assert!(why.contains("again and again"), "{why}");
}

#[test]
fn broken_and_cut_bodies_are_faults() {
    let whole = gzip(b"a text that is packed");
    let mut damaged = whole.clone();
    damaged[14] ^= 0x55;
    for (name, packed) in [
        ("gzip", &whole[..whole.len() - 3]),
        ("gzip", &whole[..5]),
        ("gzip", &damaged[..]),
        ("gzip", b"{\"jsonrpc\":\"2.0\"}"),
        ("deflate", b"{\"jsonrpc\":\"2.0\"}"),
        ("deflate", b"x"),
    ] {
        let why = unpack(one(name), packed, 4).unwrap_err();
        assert!(why.contains("cut off or damaged"), "{why}");
    }
    assert_eq!(unpack(one("gzip"), b"", 1), Ok(Vec::new()), "no body at all");
}

#[test]
fn little_never_becomes_much() {
    // At the bound and beyond it, in one piece.
    let limited = |max| coding("Content-Encoding: gzip\r\n", max).unwrap().unwrap();
    assert_eq!(unpack(limited(100_000), &gzip(&vec![0; 100_000]), 1 << 20).map(|out| out.len()), Ok(100_000));
    let why = unpack(limited(100_000), &gzip(&vec![0; 100_001]), 1 << 20).unwrap_err();
    assert!(why.contains("too large"), "{why}");
    // Packed twice, a few bytes could become gigabytes.
    let bomb = gzip(&gzip(&vec![0; 30_000_000]));
    assert!(bomb.len() < 1_000, "{}", bomb.len());
    let twice = coding("Content-Encoding: gzip, gzip\r\n", 1 << 20).unwrap().unwrap();
    assert!(unpack(twice, &bomb, 100).unwrap_err().contains("too large"));
}

#[test]
fn a_stream_that_is_all_air_is_given_up() {
    let packed = gzip(&vec![b'\n'; 50_000_000]);
    let mut coding = one("gzip");
    let mut given = 0;
    coding.push(&packed);
    let fault = loop {
        match coding.next() {
            Ok(piece) => given += piece.unwrap().len(),
            Err(fault) => break fault,
        }
    };
    assert!(fault.to_string().contains("too large"));
    assert!(given <= (1 << 20) + 100 * packed.len(), "{given}");
    // Usual text is far from that.
    let text: Vec<u8> = (0..400_000u32).flat_map(|n| format!("data: {n}\n\n").into_bytes()).collect();
    assert_eq!(unpack(one("gzip"), &gzip(&text), 1_024).map(|out| out.len()), Ok(text.len()));
}
