use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use candle_explain::prelude::*;
use candle_explain_server::{Feature, Server, Settings, TabularModel, TitanicModel};
use serde_json::Value;

pub const WOMAN: &str =
    r#"{"age": 22, "sibsp": 0, "parch": 0, "fare": 80.5, "sex": "female", "embarked": "C", "pclass": 1}"#;
pub const HEADER: &str = "age,sibsp,parch,fare,female,male,embark_C,embark_Q,embark_S,class_1,class_2,class_3";
pub const WOMAN_ROW: &str = "22,0,0,80.5,1,0,1,0,0,1,0,0";
pub const MAN_ROW: &str = "41,1,0,8.1,0,1,0,0,1,0,0,1";

/// A server on ports of its own, which ends with the test.
pub struct TestServer {
    pub inference: SocketAddr,
    pub management: SocketAddr,
    pub metrics: SocketAddr,
    end: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<Result<()>>>,
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// Settings with ports that are free.
pub fn settings(keys: &[(&str, &str)]) -> Settings {
    let ports = ["inference_address", "management_address", "metrics_address"].map(|key| (key, "127.0.0.1:0"));
    let all = ports.iter().chain(keys);
    all.fold(Settings::default(), |settings, (key, value)| settings.set(key, value).unwrap())
}

/// A folder of a test's own.
pub fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("serve-{name}"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

pub fn titanic() -> TitanicModel {
    TitanicModel::load(Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/titanic.safetensors")).unwrap()
}

impl TestServer {
    pub fn start(server: Server) -> Self {
        let bound = server.bind().unwrap();
        let addresses = [bound.inference_address(), bound.management_address(), bound.metrics_address()];
        let (end, ended) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            bound.run(async {
                let _ = ended.await;
            })
        });
        let [inference, management, metrics] = addresses;
        Self { inference, management, metrics, end: Some(end), thread: Some(thread) }
    }

    /// Tells the server to end; returns when it has.
    pub fn end(mut self) -> Result<()> {
        self.end.take().unwrap().send(()).unwrap();
        self.thread.take().unwrap().join().unwrap()
    }
}

/// The server that most tests share: the Titanic, the shipped text classifier, and models that misbehave.
pub fn shared() -> &'static TestServer {
    static SERVER: OnceLock<TestServer> = OnceLock::new();
    SERVER.get_or_init(|| {
        let inputs = folder("inputs");
        std::fs::write(inputs.join("woman.csv"), format!("{HEADER}\n{WOMAN_ROW}\n")).unwrap();
        std::fs::write(inputs.join("both.csv"), format!("{HEADER}\n{WOMAN_ROW}\n{MAN_ROW}\n")).unwrap();
        std::fs::write(inputs.parent().unwrap().join("outside.csv"), format!("{HEADER}\n{WOMAN_ROW}\n")).unwrap();
        let link = inputs.join("link.csv");
        std::os::unix::fs::symlink(inputs.parent().unwrap().join("outside.csv"), link).unwrap();
        let settings = settings(&[
            ("input_directory", inputs.to_str().unwrap()),
            ("max_request_size", "20000"),
            ("max_rows", "50"),
            ("max_steps", "600"),
        ]);
        let texts = TextClassifier::from_pretrained("data/sentiment-vi").unwrap();
        let server = Server::new(settings).unwrap();
        let server = server.with_model("titanic", "1.0", titanic()).unwrap();
        let server = server.with_model("odd", "1.0", Odd).unwrap();
        let server = server.with_model("quick", "1.0", QuickOdd).unwrap();
        TestServer::start(server.with_text_classifier("vi", "1.0", &texts).unwrap())
    })
}

/// A model that panics at 13, gives NaN at 14, waits at 15, and otherwise gives its input.
pub struct Odd;

impl TabularModel for Odd {
    fn model(&self) -> std::sync::Arc<dyn Model> {
        from_fn(|input: &Inputs, _: &mut Layers| {
            let x = input.first();
            let values = x.detach().flatten_all()?.to_vec1::<f32>()?;
            if values.contains(&13.) {
                panic!("the test asked for it");
            }
            if values.contains(&15.) {
                std::thread::sleep(Duration::from_millis(300));
            }
            Ok(if values.contains(&14.) { (x / 0.)? } else { x.clone() })
        })
    }

    fn features(&self) -> Vec<Feature> {
        vec![Feature::new("x")]
    }

    fn classes(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The same, computed where its requests are read.
pub struct QuickOdd;

impl TabularModel for QuickOdd {
    fn model(&self) -> std::sync::Arc<dyn Model> {
        Odd.model()
    }

    fn features(&self) -> Vec<Feature> {
        Odd.features()
    }

    fn classes(&self) -> Vec<String> {
        Odd.classes()
    }

    fn is_quick(&self) -> bool {
        true
    }
}

/// x², of which the gradient has half: one of its two factors is out of the graph.
pub struct Halved;

impl TabularModel for Halved {
    fn model(&self) -> std::sync::Arc<dyn Model> {
        from_fn(|input: &Inputs, _: &mut Layers| Ok((input.first() * input.first().detach())?))
    }

    fn features(&self) -> Vec<Feature> {
        vec![Feature::new("x")]
    }

    fn classes(&self) -> Vec<String> {
        Vec::new()
    }
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// A connection that is kept.
pub struct Client(BufReader<TcpStream>);

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    pub fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    pub fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> std::io::Result<Reply> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n", body.len());
        headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
        self.send(&[head.as_bytes(), b"\r\n", body].concat())?;
        self.reply()
    }

    /// Whether nothing has come yet.
    pub fn waits(&mut self) -> bool {
        self.0.get_mut().set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        matches!(self.0.fill_buf(), Err(e) if e.kind() == std::io::ErrorKind::WouldBlock)
    }

    pub fn reply(&mut self) -> std::io::Result<Reply> {
        let mut line = || {
            let mut line = String::new();
            if self.0.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            Ok::<_, std::io::Error>(line.trim_end().to_string())
        };
        let status = line()?.split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let line = line()?;
            let Some((name, value)) = line.split_once(": ") else { break };
            headers.push((name.to_ascii_lowercase(), value.to_string()));
        }
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let mut body = vec![0; length.map_or(0, |(_, value)| value.parse().unwrap())];
        self.0.read_exact(&mut body)?;
        Ok(Reply { status, headers, body })
    }
}

pub fn ask(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    Client::new(address).ask(method, path, headers, body).unwrap()
}

pub fn get(address: SocketAddr, path: &str) -> Reply {
    ask(address, "GET", path, &[], b"")
}

/// Posts JSON.
pub fn post(address: SocketAddr, path: &str, body: &str) -> Reply {
    ask(address, "POST", path, &[("Content-Type", "application/json")], body.as_bytes())
}
