//! HTTP/1.1 as bytes in, bytes out: server requests and responses, the observer client, limits. No
//! socket, no clock, and no word of what the bodies mean.

mod body;
mod client;
mod date;
mod get;
mod head;
mod health_check;
pub mod limits;
mod request;
mod response;
mod server;

pub use client::{Response, ResponseReader};
pub use get::{write_get, write_post, write_request, write_vote};
pub use health_check::{HealthCheck, Purpose};
pub use request::{Refusal, Reply, Request, Route, VotePost};
pub use response::{Answer, write_continue};
pub use server::{Exchange, Step};
