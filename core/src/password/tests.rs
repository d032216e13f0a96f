use super::*;

/// Strings of other programs (argon2-cffi 25, bcrypt 5, passlib 1.7, hashlib) and of the specifications.
const ARGON2ID: &str =
    "$argon2id$v=19$m=256,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$BaW4fpaHKjCZWAGDYdvtrxLvSh/SRTUPoEiB6ytkbCs";
const SCRYPT: &str =
    "$scrypt$ln=8,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$knxRm35dupm1cZnWH3ri1ioyXJhI0VgdAmDZDrQX5lw";
const PBKDF2: &str =
    "$pbkdf2-sha256$i=1000,l=32$MDEyMzQ1Njc4OWFiY2RlZg$cBg8D2DungRB9k76szThf5ehfyBz991ay6PT8Srwk4M";
const PASSLIB: &str = "$pbkdf2-sha256$1000$.//.Nzg5YWJjZGVm$3SIlPBPlnOZFuzNrAaUc/yirxw6g/Ri/9FDdh2jRzi4";
const BCRYPT: &str = "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e";

#[test]
fn the_beginning_decides_on_the_kind() {
    for (stored, kind) in [
        (ARGON2ID, Kind::Argon2id),
        (SCRYPT, Kind::Scrypt),
        (PBKDF2, Kind::Pbkdf2),
        (PASSLIB, Kind::Pbkdf2),
        (BCRYPT, Kind::Bcrypt),
        ("$2a$", Kind::Bcrypt),
        ("$2y$", Kind::Bcrypt),
        ("$argon2id", Kind::Plain),
        ("argon2id$", Kind::Plain),
        ("$2b", Kind::Plain),
        ("$5$ each, grüße", Kind::Plain),
        ("", Kind::Plain),
    ] {
        assert_eq!(Kind::of(stored), kind, "{stored}");
        assert_eq!(kind.is_hash(), kind != Kind::Plain);
    }
}

// OA-133
#[test]
fn sound_strings_pass() {
    for stored in [
        ARGON2ID,
        SCRYPT,
        PBKDF2,
        PASSLIB,
        BCRYPT,
        "$argon2id$m=256,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$BaW4fpaHKjCZWAGDYdvtrxLvSh/SRTUPoEiB6ytkbCs",
        "$argon2id$v=19$m=1048576,t=4,p=1$c2FsdHNhbHQ$W9sGYtKd+UcTMHMExJFaIQ",
        "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$W9sGYtKd+UcTMHMExJFaIQ",
        "$argon2id$v=19$m=1024,t=1000,p=64$c2FsdHNhbHQ$W9sGYtKd+UcTMHMExJFaIQ",
        "$scrypt$ln=20,r=8,p=2$TmFDbA$W9sGYtKd+UcTMHMExJFaIQ",
        "$pbkdf2-sha256$10000000$c2FsdA$W9sGYtKd+UcTMHMExJFaIQ",
        "$pbkdf2-sha256$i=1$c2FsdA$W9sGYtKd+UcTMHMExJFaIQ",
        "$2y$16$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e",
        "a",
        "$5$ each, grüße",
        "$ecret",
    ] {
        assert_eq!(check(stored), Ok(Kind::of(stored)), "{stored}");
    }
    assert_eq!(check(&"x".repeat(1024)), Ok(Kind::Plain));
}

#[test]
fn broken_strings_are_errors_and_show_nothing_of_themselves() {
    let hash = "W9sGYtKd+UcTMHMExJFaIQ";
    for (stored, problem) in [
        ("", "is empty"),
        ("$argon2id$", "too few or too many parts"),
        ("$2b$", "too few or too many parts"),
        (&format!("$argon2id$v=18$m=8,t=1,p=1$c2FsdHNhbHQ${hash}"), "its version is neither"),
        (&format!("$argon2id$v=19$m=8,t=1$c2FsdHNhbHQ${hash}"), "parameters are not numbers for m, t, p"),
        (&format!("$argon2id$v=19$t=1,m=8,p=1$c2FsdHNhbHQ${hash}"), "parameters are not numbers for m, t, p"),
        (&format!("$argon2id$v=19$m=08,t=1,p=1$c2FsdHNhbHQ${hash}"), "parameters are not numbers"),
        (&format!("$argon2id$v=19$m=+8,t=1,p=1$c2FsdHNhbHQ${hash}"), "parameters are not numbers"),
        (&format!("$argon2id$v=19$m=4294967296,t=1,p=1$c2FsdHNhbHQ${hash}"), "parameters are not numbers"),
        (&format!("$argon2id$v=19$m=8,t=1,p=1,keyid=AA$c2FsdHNhbHQ${hash}"), "more parameters than m, t, p"),
        (&format!("$argon2id$v=19$m=7,t=1,p=1$c2FsdHNhbHQ${hash}"), "m is 7, which is not from 8 to 1048576"),
        (&format!("$argon2id$v=19$m=1048577,t=1,p=1$c2FsdHNhbHQ${hash}"), "m is 1048577"),
        (&format!("$argon2id$v=19$m=1048576,t=5,p=1$c2FsdHNhbHQ${hash}"), "m times t is 5242880"),
        (&format!("$argon2id$v=19$m=8,t=0,p=1$c2FsdHNhbHQ${hash}"), "t is 0"),
        (&format!("$argon2id$v=19$m=8,t=1001,p=1$c2FsdHNhbHQ${hash}"), "t is 1001"),
        (&format!("$argon2id$v=19$m=8,t=1,p=0$c2FsdHNhbHQ${hash}"), "p is 0"),
        (&format!("$argon2id$v=19$m=1024,t=1,p=65$c2FsdHNhbHQ${hash}"), "p is 65"),
        (&format!("$argon2id$v=19$m=8,t=1,p=1$c2FsdA${hash}"), "the salt's length is 4"),
        ("$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$W9sGYtKd", "the hash's length is 6"),
        ("$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$", "the hash's length is 0"),
        (&format!("$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ=${hash}"), "not Base64 without padding"),
        (&format!("$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ${hash}$"), "too few or too many parts"),
        (&format!("$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ${hash} "), "not Base64"),
        (&format!("$scrypt$ln=21,r=8,p=1$TmFDbA${hash}"), "ln is 21"),
        (&format!("$scrypt$ln=0,r=8,p=1$TmFDbA${hash}"), "ln is 0"),
        (&format!("$scrypt$ln=20,r=9,p=1$TmFDbA${hash}"), "the memory in KiB is 1179648"),
        (&format!("$scrypt$ln=20,r=8,p=3$TmFDbA${hash}"), "memory in KiB times p is 3145728"),
        (&format!("$scrypt$ln=10,r=0,p=1$TmFDbA${hash}"), "r is 0"),
        (&format!("$scrypt$ln=10,r=8,p=0$TmFDbA${hash}"), "p is 0"),
        (&format!("$pbkdf2-sha256$i=0$c2FsdA${hash}"), "the number of rounds is 0"),
        (&format!("$pbkdf2-sha256$10000001$c2FsdA${hash}"), "the number of rounds is 10000001"),
        (&format!("$pbkdf2-sha256$i=1,l=32$c2FsdA${hash}"), "not as long as `l` says"),
        (&format!("$pbkdf2-sha256$i=1$${hash}"), "the salt's length is 0"),
        ("$2b$17$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e", "the cost is 17"),
        ("$2b$03$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e", "the cost is 3"),
        ("$2b$4$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e", "not a number of two digits"),
        ("$2b$+4$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e", "not a number of two digits"),
        (
            "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6",
            "52 characters rather than 22 and 31",
        ),
        ("$2b$04$abcdefghijklmnopqrstüjydOTSfIH/d5oUHpsygqV5X9xJLQc6e", "salt"),
        ("$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQ!6e", "not Base64 of bcrypt"),
        ("$2b$04$ab+defghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e", "not Base64 of bcrypt"),
        ("$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2", "a kind that is not supported"),
        ("$1$a$0123456789012345678901", "a kind that is not supported"),
        ("$argon2i$v=19$m=256,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$KuC7rtmbFYDshX2", "not supported"),
    ] {
        let error = check(stored).unwrap_err();
        assert!(error.contains(problem), "{stored}: {error}");
        let secrets = stored.split('$').skip(2).filter(|part| part.len() > 10);
        assert!(secrets.into_iter().all(|secret| !error.contains(secret)), "{error}");
        assert_eq!(cost(stored), 0, "{stored}");
        assert_eq!(decoy(stored), "", "{stored}");
    }
    assert!(check(&"x".repeat(1025)).unwrap_err().contains("more than 1024 bytes"));
}

#[test]
fn a_plain_password_matches_itself_alone() {
    assert!(plain_matches("grüße", "grüße"));
    for (password, stored) in [("a", "b"), ("a", "ab"), ("ab", "a"), ("", "a"), ("a", ""), ("", "")] {
        assert!(!plain_matches(password, stored), "{password} {stored}");
    }
}

// T-14
#[test]
fn a_decoy_costs_the_same_and_has_another_hash() {
    assert_eq!(
        decoy(ARGON2ID),
        format!("$argon2id$v=19$m=256,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg${}", "A".repeat(43))
    );
    assert_eq!(decoy(BCRYPT), format!("$2b$04$abcdefghijklmnopqrstuu{}", ".".repeat(31)));
    for stored in [ARGON2ID, SCRYPT, PBKDF2, PASSLIB, BCRYPT] {
        let decoy = decoy(stored);
        assert_eq!(check(&decoy), Ok(Kind::of(stored)), "{decoy}");
        assert_eq!(cost(&decoy), cost(stored));
        assert_ne!(decoy, stored);
    }
    assert_eq!(decoy("plain"), "");
    assert!(!plain_matches("", &decoy("plain")));
}

#[test]
fn costs_are_ordered_as_in_life() {
    let bcrypt = |cost: u32| format!("$2b${cost:02}$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e");
    let ordered = [
        "plain".to_owned(),
        BCRYPT.to_owned(),
        "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$W9sGYtKd+UcTMHMExJFaIQ".to_owned(),
        bcrypt(12),
        "$pbkdf2-sha256$600000$c2FsdA$W9sGYtKd+UcTMHMExJFaIQ".to_owned(),
        "$scrypt$ln=17,r=8,p=1$TmFDbA$W9sGYtKd+UcTMHMExJFaIQ".to_owned(),
        bcrypt(16),
        "$argon2id$v=19$m=1048576,t=4,p=1$c2FsdHNhbHQ$W9sGYtKd+UcTMHMExJFaIQ".to_owned(),
    ];
    assert!(ordered.is_sorted_by_key(|stored| cost(stored)));
    assert!(ordered.iter().all(|stored| cost(stored) < 10_000_000_000), "ten seconds");
}

#[cfg(feature = "password")]
mod hashing {
    use super::*;

    const CASES: [(&str, &str); 14] = [
        ("correct horse", ARGON2ID),
        ("correct horse", SCRYPT),
        ("correct horse", PBKDF2),
        ("correct horse", PASSLIB),
        ("correct horse", BCRYPT),
        ("grüße", "$argon2id$v=19$m=64,t=1,p=4$c2FsdHNhbHQ$W9sGYtKd+UcTMHMExJFaIQ"),
        (
            "correct horse",
            "$argon2id$v=16$m=256,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$Wzfk1hZljqG2eS1Q8JA0CYrEpngRbF2I+4JwaOBJl4k",
        ),
        (
            "correct horse",
            "$argon2id$m=256,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$Wzfk1hZljqG2eS1Q8JA0CYrEpngRbF2I+4JwaOBJl4k",
        ),
        // RFC 7914, section 12, the first half of the second vector.
        ("password", "$scrypt$ln=10,r=8,p=16$TmFDbA$/bq+HJ00cgB4VucZDQHp/nxq18vII3gw53N2Y0s3MWI"),
        // The vectors of RFC 6070 with SHA-256.
        ("password", "$pbkdf2-sha256$i=4096$c2FsdA$xeR41ZKIyEGqUw22hFxMjZYok6A"),
        // jBCrypt, TestBCrypt.java.
        ("", "$2a$06$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkgY8jIucDrjc8deX1s."),
        ("a", "$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe"),
        ("grüße", "$2y$04$abcdefghijklmnopqrstuuukcFUuF1uD2.SsVXl2Kxf7oTFxL3IEq"),
        // The last character of the salt has bits that mean nothing.
        ("grüße", "$2y$04$abcdefghijklmnopqrstu2ukcFUuF1uD2.SsVXl2Kxf7oTFxL3IEq"),
    ];

    // OA-133
    #[test]
    fn strings_of_other_programs_match_their_password_alone() {
        for (password, stored) in CASES {
            assert!(verify(password, stored), "{stored}");
        }
        for stored in [ARGON2ID, SCRYPT, PBKDF2, PASSLIB, BCRYPT] {
            for other in ["correct horses", "correct hors", "correct horse\0", ""] {
                assert!(!verify(other, stored), "{stored}");
            }
            assert!(!verify("correct horse", &decoy(stored)), "{stored}");
        }
    }

    #[test]
    fn bcrypt_ignores_what_follows_72_bytes() {
        let stored = "$2b$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i";
        for (len, expected) in [(71, false), (72, true), (73, true), (1024, true), (1025, false)] {
            assert_eq!(verify(&"x".repeat(len), stored), expected, "{len}");
        }
    }

    #[test]
    fn what_is_broken_or_too_long_matches_nothing() {
        assert!(!verify("$argon2id$", "$argon2id$"));
        assert!(!verify(BCRYPT, BCRYPT));
        let long = "x".repeat(1025);
        assert!(!verify(&long, &long));
        assert!(verify(&long[1..], &long[1..]));
        assert!(verify("plain", "plain") && !verify("plain", "other"));
    }

    #[test]
    fn a_new_hash_is_the_one_argon2_cffi_makes() {
        let made = hash("correct horse", *b"0123456789abcdef").unwrap();
        let expected = "$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$\
                        rk2Mi3E4dgRMg0fHaYaptWVZRKqs//6b6k3/nntqGJk";
        assert_eq!(made, expected);
        assert_eq!(check(&made), Ok(Kind::Argon2id));
        assert!(hash("a\0", [0; 16]).unwrap_err().contains("zero byte"));
        assert!(hash("", [0; 16]).unwrap_err().contains("empty"));
        assert!(hash(&"x".repeat(1025), [0; 16]).unwrap_err().contains("1024"));
    }
}
