//! What other voters send, and the vote file.

use pglookout::format::{VoteFile, read_vote_answer, read_vote_request, vote_answer, vote_request};

use super::on_one_line;

/// The body of `POST /vote`.
pub(super) fn request(input: &[u8]) {
    match read_vote_request(input) {
        Ok((request, challenge)) => {
            on_one_line(request.from.as_str());
            let written = vote_request(&request, challenge);
            assert_eq!(read_vote_request(&written), Ok((request, challenge)));
        }
        Err(reason) => on_one_line(&reason),
    }
}

/// The body of its answer.
pub(super) fn answer(input: &[u8]) {
    match read_vote_answer(input) {
        Ok((answer, challenge)) => {
            on_one_line(answer.from.as_str());
            let written = vote_answer(&answer, challenge);
            assert_eq!(read_vote_answer(&written), Ok((answer, challenge)));
        }
        Err(reason) => on_one_line(&reason),
    }
}

/// Torn or damaged it is no vote file: what is read is what was written.
pub(super) fn file(input: &[u8]) {
    match VoteFile::read(input) {
        Ok(file) => assert_eq!(VoteFile::read(&file.to_json()), Ok(file)),
        Err(reason) => on_one_line(&reason),
    }
}
