use super::*;
use crate::testing::mutations;

fn request() -> Request {
    Request {
        cluster: "main".into(),
        from: "a".into(),
        to: "b".into(),
        kind: Kind::Vote,
        term: u64::MAX,
        nonce: Nonce(u128::MAX),
        mandate: Nonce(u128::MAX),
        lease: Duration::from_secs(20),
        position: Some(Position {
            timeline: Some(3),
            lsn: Lsn::from_bytes(0x5_0000_0060),
        }),
        system: Some("7300000000000000000".to_owned()),
        list: ListId {
            generation: 1,
            fingerprint: "f".repeat(32),
        },
        news: None,
        successor: None,
    }
}

fn answer(refusal: Option<Refusal>) -> Answer {
    Answer {
        cluster: "main".into(),
        from: "b".into(),
        to: "a".into(),
        kind: Kind::AskVote,
        nonce: Nonce(1),
        refusal,
        wait: Some(Duration::from_millis(6_200)),
        term: 7,
        voted_for: Some("c".into()),
        position: None,
        willing: true,
        fences: Some(true),
        list: request().list,
        news: None,
        is_free: false,
    }
}

#[test]
fn what_was_written_is_read_back() {
    for challenge in [None, Some(Nonce(5))] {
        for kind in Kind::ALL {
            let successor = (kind == Kind::Release).then(|| "c".into());
            let mandate = match kind.is_renewal() {
                true => Nonce(4),
                false => request().nonce,
            };
            let request = Request {
                kind,
                mandate,
                successor,
                ..request()
            };
            let text = vote_request(&request, challenge);
            assert_eq!(read_vote_request(&text), Ok((request, challenge)));
        }
        for refusal in Refusal::ALL.map(Some).into_iter().chain([None]) {
            let answer = answer(refusal);
            let text = vote_answer(&answer, challenge);
            assert_eq!(read_vote_answer(&text), Ok((answer, challenge)));
        }
    }
    assert_eq!(
        read_request_value(&request_value(&request())),
        Ok(request())
    );
    let answer = answer(None);
    assert_eq!(read_answer_value(&answer_value(&answer)), Ok(answer));
}

#[test]
fn the_longest_message_is_short() {
    let long = "\"".repeat(MAX_NAME_BYTES);
    let (cluster, name) = (long.as_str().into(), long.as_str().into());
    let request = Request {
        cluster,
        from: name,
        to: long.as_str().into(),
        kind: Kind::AskRenew,
        successor: Some(long.as_str().into()),
        news: Some(Box::new(ListNews {
            former: None,
            ..news(ListStage::Sealed)
        })),
        ..request()
    };
    let text = vote_request(&request, Some(Nonce(0)));
    assert!(text.len() <= 1024, "{}", text.len());
    assert!(read_vote_request(&text).is_ok());
}

#[test]
fn what_is_no_message_is_refused() {
    let text = vote_request(&request(), Some(Nonce(5)));
    for end in 0..text.len() {
        assert!(read_vote_request(&text[..end]).is_err(), "cut at {end}");
    }
    mutations(&text, |text| _ = read_vote_request(text));
    let reply = vote_answer(&answer(Some(Refusal::Promised)), None);
    for end in 0..reply.len() {
        assert!(read_vote_answer(&reply[..end]).is_err(), "cut at {end}");
    }
    mutations(&reply, |text| _ = read_vote_answer(text));
    let padded = [text.as_slice(), &vec![b' '; MAX_VOTE_MESSAGE_BYTES]].concat();
    assert!(read_vote_request(&padded).is_err());
}

#[test]
fn every_field_has_a_limit() {
    let text = String::from_utf8(vote_request(&request(), None)).unwrap();
    let name = format!("\"from\":\"{}\"", "x".repeat(MAX_NAME_BYTES + 1));
    for (old, new, reason) in [
        ("\"v\":1", "\"v\":2", "v: found 2"),
        ("\"vote\"", "\"veto\"", "kind"),
        ("\"vote\"", "\"renew\"", "mandate"),
        ("\"from\":\"a\"", &name, "from"),
        ("\"from\":\"a\"", "\"from\":\"\"", "from"),
        ("\"from\":\"a\"", "\"from\":\"a\\n\"", "from"),
        ("20000", "2999", "lease_ms"),
        ("20000", "600001", "lease_ms"),
        ("5/60", "5/600000000", "lsn"),
        (
            "\"term\":18446744073709551615",
            "\"term\":18446744073709551616",
            "term",
        ),
        ("\"term\":18446744073709551615", "\"term\":-1", "term"),
    ] {
        let changed = text.replacen(old, new, 1);
        assert_ne!(changed, text, "{old}");
        let error = read_vote_request(changed.as_bytes()).unwrap_err();
        assert!(error.contains(reason) || reason == "term", "{error}");
    }
    let text = String::from_utf8(vote_answer(&answer(None), None)).unwrap();
    for (old, new) in [
        ("\"granted\"", "\"term\""),
        ("\"ok\":true", "\"ok\":false"),
        ("\"granted\"", "\"?\""),
    ] {
        assert!(
            read_vote_answer(text.replacen(old, new, 1).as_bytes()).is_err(),
            "{old} {new}"
        );
    }
}

fn news(stage: ListStage) -> ListNews {
    ListNews {
        stage,
        former: (stage < ListStage::Sealed).then(|| "e".repeat(32)),
        floor: u64::MAX,
    }
}

#[test]
fn what_is_known_of_lists_goes_with_every_message() {
    for stage in [ListStage::Taken, ListStage::Accepted, ListStage::Sealed] {
        let request = Request {
            news: Some(Box::new(news(stage))),
            ..request()
        };
        let read = read_vote_request(&vote_request(&request, None));
        assert_eq!(read, Ok((request, None)));
        for is_free in [false, true] {
            let answer = Answer {
                news: Some(Box::new(news(stage))),
                is_free,
                ..answer(None)
            };
            assert_eq!(read_answer_value(&answer_value(&answer)), Ok(answer));
        }
    }
    // A list that was never changed takes no more room than it needs.
    let sealed = Request {
        news: Some(Box::new(ListNews {
            stage: ListStage::Sealed,
            former: None,
            floor: 0,
        })),
        ..request()
    };
    let text = String::from_utf8(vote_request(&sealed, None)).unwrap();
    assert!(text.contains(r#""accepted":true,"sealed":true}"#), "{text}");
    for (old, new) in [("\"accepted\":true", "\"accepted\":false"), ("true}", "7}")] {
        let changed = text.replacen(old, new, 1);
        assert!(read_vote_request(changed.as_bytes()).is_err(), "{changed}");
    }
}

/// As the version before writes it, and as it reads what we write.
#[test]
fn the_version_before_knows_nothing_of_lists() {
    let text = String::from_utf8(vote_request(&request(), None)).unwrap();
    for word in ["accepted", "sealed", "former", "floor", "free"] {
        assert!(!text.contains(word), "{text}");
    }
    let (read, _) = read_vote_request(text.as_bytes()).unwrap();
    assert_eq!(read.news, None);
}
