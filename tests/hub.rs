//! Models by their id, from a hub that answers on this machine: the real one is out of reach of a test.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use candle_explain::prelude::*;

const MODEL: &str = "shop/sentiment";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const TEXT: &str = "Sản phẩm này rất tốt";
/// Answers that carry less of the weights than they promise.
const BROKEN_ANSWERS: usize = 2;

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/sentiment-vi")
}

#[derive(Default)]
struct Hub {
    requests: AtomicUsize,
    weights_served: AtomicUsize,
    /// The last request's Authorization.
    token: Mutex<Option<String>>,
}

impl Hub {
    /// Answers as the Hugging Face hub does: the list of a model's files, and ranges of each.
    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut request = String::new();
        reader.read_line(&mut request)?;
        let mut from = 0;
        let mut only_one = false;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 || line == "\r\n" {
                break;
            }
            if let Some(token) =
                line.trim().strip_prefix("Authorization: ").or(line.trim().strip_prefix("authorization: "))
            {
                *self.token.lock().unwrap() = Some(token.to_string());
            }
            if let Some(range) = line.to_lowercase().strip_prefix("range: bytes=") {
                only_one = range.trim() == "0-0";
                from = range.split('-').next().and_then(|from| from.parse().ok()).unwrap_or(0);
            }
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        let path = request.split(' ').nth(1).unwrap_or_default();
        if path.starts_with(&format!("/api/models/{MODEL}")) {
            let files = ["config.json", "model.safetensors", "tokenizer.json", "README.md"];
            let siblings: Vec<String> = files.iter().map(|file| format!("{{\"rfilename\": \"{file}\"}}")).collect();
            let body = format!("{{\"sha\": \"{COMMIT}\", \"siblings\": [{}]}}", siblings.join(","));
            return write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
        let file = path.strip_prefix(&format!("/{MODEL}/resolve/{COMMIT}/")).filter(|file| *file != "README.md");
        let Some(bytes) = file.and_then(|file| std::fs::read(shipped().join(file)).ok()) else {
            return write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        };
        let part = if only_one { &bytes[..1] } else { &bytes[from..] };
        write!(
            stream,
            "HTTP/1.1 206 Partial Content\r\nETag: \"{}-{}\"\r\nX-Repo-Commit: {COMMIT}\r\nContent-Range: bytes {from}-{}/{}\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            file.unwrap_or_default(),
            bytes.len(),
            from + part.len() - 1,
            bytes.len(),
            part.len()
        )?;
        let broken = file == Some("model.safetensors")
            && !only_one
            && self.weights_served.fetch_add(1, Ordering::Relaxed) < BROKEN_ANSWERS;
        stream.write_all(if broken { &part[..part.len() / 3] } else { part })
    }
}

#[test]
fn a_model_is_fetched_once_and_a_broken_download_goes_on() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let hub = Arc::new(Hub::default());
    let served = hub.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let hub = served.clone();
            std::thread::spawn(move || hub.answer(stream));
        }
    });
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hub-cache");
    let _ = std::fs::remove_dir_all(&home);
    // This test is alone in its process.
    unsafe {
        std::env::set_var("HF_HOME", &home);
        std::env::set_var("HF_ENDPOINT", format!("http://{address}"));
    }

    let here = TextClassifier::from_pretrained("data/sentiment-vi").unwrap().predict_text(TEXT).unwrap();
    let fetched = TextClassifier::from_pretrained(MODEL).unwrap().predict_text(TEXT).unwrap();
    assert_eq!(here, fetched);
    assert!(hub.weights_served.load(Ordering::Relaxed) > BROKEN_ANSWERS, "no download broke off");
    let snapshot = home.join("hub/models--shop--sentiment/snapshots").join(COMMIT);
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        assert_eq!(std::fs::read(snapshot.join(file)).unwrap(), std::fs::read(shipped().join(file)).unwrap(), "{file}");
    }

    let requests = hub.requests.load(Ordering::Relaxed);
    TextClassifier::from_pretrained(MODEL).unwrap();
    assert_eq!(hub.requests.load(Ordering::Relaxed), requests, "what is in the cache is not asked for again");

    let message = |model: &str| match TextClassifier::from_pretrained(model) {
        Ok(_) => panic!("there is no such model"),
        Err(error) => error.to_string(),
    };
    assert!(message("shop/nothing").contains("is the name right?"), "{}", message("shop/nothing"));
    assert!(message("../shop/nothing").contains("there is no folder"));
    unsafe { std::env::set_var("HF_ENDPOINT", "http://127.0.0.1:9") };
    assert!(message("shop/elsewhere").contains("is there a network?"), "{}", message("shop/elsewhere"));
    assert!(TextClassifier::from_pretrained(MODEL).is_ok(), "the cache needs no network");
    assert_eq!(*hub.token.lock().unwrap(), None);

    let (other, token) = (home.with_file_name("hub-other-cache"), home.with_file_name("hub-token"));
    let _ = std::fs::remove_dir_all(&other);
    std::fs::write(&token, "hf_from_a_file\n").unwrap();
    unsafe {
        std::env::set_var("HF_ENDPOINT", format!("http://{address}/"));
        std::env::set_var("HF_HUB_CACHE", &other);
        std::env::set_var("HF_TOKEN_PATH", &token);
        std::env::set_var("HF_HUB_OFFLINE", "1");
    }
    let requests = hub.requests.load(Ordering::Relaxed);
    let offline = message(MODEL);
    assert!(offline.contains("HF_HUB_OFFLINE") && offline.contains("hub-other-cache"), "{offline}");
    assert_eq!(hub.requests.load(Ordering::Relaxed), requests, "offline nothing is asked");
    unsafe { std::env::set_var("HF_HUB_OFFLINE", "0") };
    assert_eq!(TextClassifier::from_pretrained(MODEL).unwrap().predict_text(TEXT).unwrap(), here);
    assert_eq!(hub.token.lock().unwrap().as_deref(), Some("Bearer hf_from_a_file"));
    assert!(other.join("models--shop--sentiment/snapshots").join(COMMIT).join("config.json").exists());
    unsafe { std::env::set_var("TRANSFORMERS_OFFLINE", "1") };
    assert!(TextClassifier::from_pretrained(MODEL).is_ok(), "HF_HUB_OFFLINE counts before TRANSFORMERS_OFFLINE");
    unsafe {
        std::env::remove_var("HF_HUB_OFFLINE");
        std::env::set_var("HF_TOKEN", "hf_from_the_environment");
    }
    assert!(TextClassifier::from_pretrained(MODEL).is_ok(), "the cache will do offline");
    assert!(message("shop/elsewhere").contains("TRANSFORMERS_OFFLINE"), "{}", message("shop/elsewhere"));
    unsafe { std::env::remove_var("TRANSFORMERS_OFFLINE") };
    message("shop/elsewhere");
    assert_eq!(hub.token.lock().unwrap().as_deref(), Some("Bearer hf_from_the_environment"));
}
