//! Writes the OpenAPI document: `cargo run -p gogochat-proto --example openapi > openapi.json`.

use std::io::Write as _;

fn main() -> std::io::Result<()> {
    std::io::stdout().write_all(gogochat_proto::openapi::json())
}
