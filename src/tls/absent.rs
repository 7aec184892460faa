//! The types of a program that was built without TLS. They have no values, so nothing here ever
//! runs.

use std::io;

use super::{Blame, Failure, Settings};

/// Whose signatures count.
#[derive(Debug)]
pub enum Trust {}

/// Our certificate and key.
#[derive(Clone, Debug)]
pub enum Identity {}

/// An encrypted connection.
#[derive(Debug)]
pub enum TlsStream {}

impl Trust {
    /// There can be none.
    pub fn from_pem(
        _place: &str,
        _roots: &[u8],
        _revoked: Option<(&str, &[u8])>,
    ) -> Result<Self, Failure> {
        Err(not_built_in())
    }
}

impl Identity {
    /// There can be none.
    pub fn from_pem(_certificate: (&str, &[u8]), _key: (&str, &[u8])) -> Result<Self, Failure> {
        Err(not_built_in())
    }
}

impl TlsStream {
    /// There can be none.
    pub fn new(_settings: Settings) -> Result<Self, Failure> {
        Err(not_built_in())
    }

    /// Never called.
    pub fn is_handshaking(&self) -> bool {
        match *self {}
    }

    /// Never called.
    pub fn end_point(&self) -> Option<Vec<u8>> {
        match *self {}
    }

    /// Never called.
    pub fn read(
        &mut self,
        _transport: &mut (impl io::Read + io::Write),
        _buffer: &mut [u8],
    ) -> io::Result<usize> {
        match *self {}
    }

    /// Never called.
    pub fn write(
        &mut self,
        _transport: &mut (impl io::Read + io::Write),
        _bytes: &[u8],
    ) -> io::Result<usize> {
        match *self {}
    }

    /// Never called.
    pub fn flush(&mut self, _transport: &mut impl io::Write) -> io::Result<()> {
        match *self {}
    }
}

fn not_built_in() -> Failure {
    Failure::new(Blame::Ourselves, "this program was built without TLS")
}
