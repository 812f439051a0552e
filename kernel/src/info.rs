//! What the kernel says of itself.

use serde_json::{Value, json};

pub fn kernel_info() -> Value {
    json!({
        "status": "ok",
        "protocol_version": "5.3",
        "implementation": "candle-explain-kernel",
        "implementation_version": env!("CARGO_PKG_VERSION"),
        "language_info": {
            "name": "rust",
            "version": "2024",
            "mimetype": "text/rust",
            "file_extension": ".rs",
            "pygments_lexer": "rust",
            "codemirror_mode": "rust",
        },
        "banner": "Rust, compiled cell by cell by evcxr.",
        "help_links": [
            {"text": "Rust", "url": "https://doc.rust-lang.org/std/"},
            {"text": "evcxr", "url": "https://github.com/evcxr/evcxr/blob/main/COMMON.md"},
        ],
        "debugger": false,
    })
}
