use std::path::Path;
use std::time::{Duration, Instant};

use candle_explain::prelude::*;
use candle_explain_server::{Archive, Server, Settings};
use serde_json::json;

use super::client::*;

fn weights() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/titanic.safetensors")
}

/// A model store with one version of the Titanic, and archives that are not loaded.
fn store(name: &str) -> std::path::PathBuf {
    let store = folder(name);
    let classes = store.join("index_to_name.json");
    std::fs::write(&classes, r#"{"0": "lost", "1": "saved"}"#).unwrap();
    Archive::new("titanic", "1.0", "titanic", weights()).unwrap().write(&store, false).unwrap();
    let second = Archive::new("titanic", "2.0", "titanic_handler.py", weights()).unwrap().with_file(&classes).unwrap();
    let others = folder(&format!("{name}-others"));
    std::fs::rename(second.write(&others, false).unwrap(), store.join("second.mar")).unwrap();
    let whole = std::fs::read(store.join("titanic.mar")).unwrap();
    std::fs::write(store.join("cut.mar"), &whole[..whole.len() / 2]).unwrap();
    store
}

fn delete(server: &TestServer, path: &str) -> Reply {
    ask(server.management, "DELETE", path, &[], b"")
}

fn put(server: &TestServer, path: &str) -> Reply {
    ask(server.management, "PUT", path, &[], b"")
}

#[test]
fn versions_come_swap_and_go_while_others_serve() {
    let store = store("versions");
    let keys = [("model_store", store.to_str().unwrap()), ("load_models", "titanic.mar"), ("enable_model_api", "true")];
    let server = TestServer::start(Server::new(settings(&keys)).unwrap());
    let predict = |path: &str| post(server.inference, path, WOMAN).text();
    assert_eq!(predict("/predictions/titanic"), "Survived");

    let cut = post(server.management, "/models?url=cut.mar", "");
    assert_eq!((cut.status, cut.json()["message"].as_str().unwrap().contains("not a complete archive")), (400, true));
    for outside in ["../titanic.mar", "/etc/passwd", "http://localhost/x.mar", "none.mar", "."] {
        assert_eq!(post(server.management, &format!("/models?url={outside}"), "").status, 400, "{outside}");
    }
    assert_eq!(post(server.management, "/models?url=titanic.mar", "").status, 409);
    assert_eq!(post(server.management, "/models?url=second.mar&initial_workers=1000", "").status, 400);
    assert_eq!(get(server.management, "/models/titanic/2.0").status, 404, "what was refused is not registered");
    assert_eq!(predict("/predictions/titanic"), "Survived");

    let path = store.join("second.mar");
    let second = post(server.management, &format!("/models?url={}&initial_workers=2", path.display()), "");
    assert!(second.text().contains("Version: 2.0 registered with 2 initial workers"), "{}", second.text());
    assert_eq!(
        (predict("/predictions/titanic"), predict("/predictions/titanic/2.0")),
        ("Survived".into(), "saved".into())
    );
    assert_eq!(put(&server, "/models/titanic/2.0/set-default").status, 200);
    assert_eq!(predict("/predictions/titanic"), "saved");
    assert_eq!(put(&server, "/models/titanic/9/set-default").status, 404);

    let all = get(server.management, "/models/titanic/all").json();
    assert_eq!((&all[0]["modelVersion"], &all[1]["modelVersion"]), (&json!("2.0"), &json!("1.0")));
    assert_eq!(all[0]["workers"].as_array().unwrap().len(), 2);
    assert_eq!(put(&server, "/models/titanic/2.0?min_worker=0&synchronous=true").status, 200);
    let unready = post(server.inference, "/predictions/titanic", WOMAN);
    assert_eq!((unready.status, unready.header("retry-after")), (503, Some("1")));
    assert_eq!(get(server.inference, "/ping").status, 500);
    assert_eq!(get(server.inference, "/v2/health/ready").status, 503);
    assert_eq!(put(&server, "/models/titanic/2.0?min_worker=1").status, 202);
    assert_eq!(predict("/predictions/titanic"), "saved");

    assert_eq!(delete(&server, "/models/titanic/2.0").status, 400);
    assert_eq!(delete(&server, "/models/titanic/1.0").status, 200);
    assert_eq!(delete(&server, "/models/titanic").status, 200);
    assert_eq!(post(server.inference, "/predictions/titanic", WOMAN).status, 404);
    assert_eq!(get(server.management, "/models").json(), json!({"models": []}));
    server.end().unwrap();
}

#[test]
fn models_are_not_registered_unless_the_operator_allows_it() {
    let server = shared();
    assert_eq!(post(server.management, "/models?url=x.mar", "").status, 405);
    assert_eq!(delete(server, "/models/titanic").status, 405);
    assert_eq!(put(server, "/models/titanic?min_worker=65").status, 400);
    assert_eq!(get(server.management, "/models?limit=x").status, 400);
    let page = get(server.management, "/models?limit=1").json();
    assert_eq!(page["nextPageToken"], json!("1"));
    assert_eq!(
        get(server.management, "/models?limit=2&next_page_token=1").json()["models"].as_array().unwrap().len(),
        2
    );
}

#[test]
fn a_store_of_archives_and_checkpoint_folders() {
    let store = store("mixed");
    std::fs::remove_file(store.join("cut.mar")).unwrap();
    let texts = store.join("comments");
    std::fs::create_dir(&texts).unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/sentiment-vi");
    let files = ["config.json", "tokenizer.json", "model.safetensors"];
    for file in files {
        std::fs::copy(shipped.join(file), texts.join(file)).unwrap();
    }
    let packed = Archive::new("packed", "3", "text_classifier", shipped.join("model.safetensors")).unwrap();
    let packed =
        packed.with_file(shipped.join("config.json")).unwrap().with_file(shipped.join("tokenizer.json")).unwrap();
    packed.write(&store, false).unwrap();
    let server = TestServer::start(Server::new(settings(&[("model_store", store.to_str().unwrap())])).unwrap());
    for path in ["/predictions/comments", "/predictions/packed/3"] {
        assert_eq!(post(server.inference, path, "\"Hàng rất tốt\"").text(), "positive");
    }
    assert_eq!(post(server.inference, "/predictions/titanic/2.0", WOMAN).text(), "saved");
    server.end().unwrap();
    std::fs::write(store.join("bad.mar"), "no archive").unwrap();
    let server = Server::new(settings(&[("model_store", store.to_str().unwrap())])).unwrap();
    let error = server.refused().iter().map(ToString::to_string).collect::<String>();
    assert_eq!(server.refused().len(), 1);
    assert!(error.contains("bad.mar") && error.contains("not a complete archive"), "{error}");
}

#[test]
fn archives_that_are_none() {
    let folder = folder("archives");
    let message = |result: Result<Archive>| result.err().unwrap().to_string();
    assert!(message(Archive::new("a/b", "1", "titanic", weights())).contains("the model name is \"a/b\""));
    assert!(message(Archive::new("a", "", "titanic", weights())).contains("the version is \"\""));
    assert!(
        message(Archive::new("a", "1", "my_handler.py", weights())).contains("expected titanic or text_classifier")
    );
    assert!(message(Archive::new("a", "1", "titanic", "none.safetensors")).contains("cannot read the weights"));
    let cut = folder.join("cut.safetensors");
    std::fs::write(&cut, &std::fs::read(weights()).unwrap()[..100]).unwrap();
    assert!(message(Archive::new("a", "1", "titanic", &cut)).contains("holds no weights"));
    let archive = Archive::new("a", "1", "titanic", weights()).unwrap();
    assert!(message(archive.clone().with_file(folder.join("none"))).contains("cannot read the extra file"));
    let path = archive.write(&folder, false).unwrap();
    assert!(archive.write(&folder, false).err().unwrap().to_string().contains("--force"));
    assert!(archive.write(&folder, true).is_ok());
    assert!(Archive::read(&path).is_ok());
    // What torch.save wrote becomes safetensors.
    let pickled =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/checkpoints/pickled-roberta/pytorch_model.bin");
    let plain =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/checkpoints/tiny-roberta/model.safetensors");
    let turned = Archive::new("turned", "1", "text_classifier", pickled).unwrap().write(&folder, false).unwrap();
    let bytes = std::fs::read(turned).unwrap();
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
    let mut weights = Vec::new();
    std::io::Read::read_to_end(&mut zip.by_name("pytorch_model.safetensors").unwrap(), &mut weights).unwrap();
    let turned = candle_explain::candle_core::safetensors::load_buffer(&weights, &Device::Cpu).unwrap();
    let plain = candle_explain::candle_core::safetensors::load(plain, &Device::Cpu).unwrap();
    for (name, tensor) in &plain {
        let difference = (tensor - &turned[name]).unwrap().abs().unwrap().sum_all().unwrap();
        assert_eq!(difference.to_scalar::<f32>().unwrap(), 0., "{name}");
    }
}

#[test]
fn a_client_without_its_key_is_turned_away() {
    let folder = folder("keys");
    let file = folder.join("key_file.json");
    let server = Server::new(settings(&[("disable_token_authorization", "false")])).unwrap();
    let server = server.with_model("titanic", "1.0", titanic()).unwrap().with_keys(&file).unwrap();
    let server = TestServer::start(server);
    let keys: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let bearer = |door: &str| format!("Bearer {}", keys[door]["key"].as_str().unwrap());
    let with = |address, method, path: &str, key: &str| {
        ask(address, method, path, &[("Authorization", key)], WOMAN.as_bytes())
    };
    let refused = post(server.inference, "/predictions/titanic", WOMAN);
    assert_eq!((refused.status, refused.json()["type"].as_str()), (400, Some("InvalidKeyException")));
    let refused = ask(server.inference, "GET", "/v1/models", &[], b"");
    assert!(refused.json()["error"].as_str().is_some_and(|error| error.contains("token")), "{}", refused.text());
    assert_eq!(with(server.inference, "POST", "/predictions/titanic", &bearer("inference")).text(), "Survived");
    assert_eq!(with(server.inference, "POST", "/predictions/titanic", &bearer("management")).status, 400);
    assert_eq!(with(server.management, "GET", "/models", &bearer("inference")).status, 400);
    assert_eq!(with(server.management, "GET", "/models", &bearer("management")).status, 200);
    assert_eq!(post(server.inference, "/v1/models/titanic:predict", "{}").status, 400);
    assert_eq!(get(server.inference, "/ping").status, 200);
    server.end().unwrap();
}

#[test]
fn a_panic_costs_one_request_and_a_slow_model_no_other() {
    let server = shared().inference;
    for model in ["odd", "quick"] {
        let threads: Vec<_> = (0..16)
            .map(|index| {
                std::thread::spawn(move || {
                    let value = if index == 3 { "13".to_string() } else { format!("{index}.5") };
                    let reply = post(server, &format!("/predictions/{model}"), &format!("[{value}]"));
                    (index, reply.status, reply.text())
                })
            })
            .collect();
        for thread in threads {
            let (index, status, text) = thread.join().unwrap();
            if index == 3 { assert_eq!(status, 500) } else { assert_eq!((status, text), (200, format!("{index}.5"))) }
        }
    }
    let slow = std::thread::spawn(move || post(server, "/predictions/odd", "[15]"));
    std::thread::sleep(Duration::from_millis(50));
    let begun = Instant::now();
    assert_eq!(post(server, "/predictions/titanic", WOMAN).status, 200);
    assert_eq!(get(server, "/ping").status, 200);
    assert!(begun.elapsed() < Duration::from_millis(200));
    assert_eq!(slow.join().unwrap().text(), "15");
}

#[test]
fn an_operator_chooses_what_becomes_of_a_wrong_gradient() {
    let explained = |check: &str| {
        let server = Server::new(settings(&[("gradient_check", check)])).unwrap();
        let server = TestServer::start(server.with_model("halved", "1.0", Halved).unwrap());
        let reply = ask(
            server.inference,
            "POST",
            "/explanations/halved?method=Saliency",
            &[("Content-Type", "application/json"), ("Accept", "application/json")],
            b"[[2], [3]]",
        );
        (reply.status, reply.text())
    };
    let (status, refused) = explained("error");
    assert_eq!(status, 400, "{refused}");
    assert!(refused.contains("the gradient is not the derivative of the model's output"), "{refused}");
    for (check, remark) in [("warn", true), ("off", false)] {
        let (status, answered) = explained(check);
        assert_eq!(status, 200, "{answered}");
        assert_eq!(answered.contains("the gradient is not the derivative of the model's output"), remark, "{answered}");
        let answered: serde_json::Value = serde_json::from_str(&answered).unwrap();
        assert_eq!(answered["rows"][0]["attributions"], json!({"x": 2.0}));
        assert_eq!(answered["rows"][0]["warnings"].as_array().unwrap().len(), usize::from(remark));
    }
}

#[test]
fn a_full_queue_turns_away_and_what_takes_too_long_is_given_up() {
    let keys = [("job_queue_size", "1"), ("default_response_timeout", "1")];
    let server = Server::new(settings(&keys)).unwrap().with_model("odd", "1.0", Odd).unwrap();
    let server = TestServer::start(server);
    let address = server.inference;
    // Rows that ask the same are computed together; explanations of different steps are not.
    let threads: Vec<_> = (1..=12)
        .map(|steps| {
            std::thread::spawn(move || post(address, &format!("/explanations/odd?n_steps={steps}&baseline=15"), "[15]"))
        })
        .collect();
    let replies: Vec<Reply> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let count = |status: u16| replies.iter().filter(|reply| reply.status == status).count();
    assert!(count(503) > 0, "{replies:?}");
    assert_eq!(count(503) + count(500) + count(200) + count(400), 12);
    assert!(replies.iter().filter(|reply| reply.status == 503).all(|reply| reply.header("retry-after") == Some("1")));
    server.end().unwrap();
}

#[test]
fn a_server_that_ends_answers_what_was_asked() {
    let server = Server::new(settings(&[])).unwrap().with_model("odd", "1.0", Odd).unwrap();
    let server = TestServer::start(server);
    let address = server.inference;
    let clients: Vec<_> = (0..8)
        .map(|_| {
            std::thread::spawn(move || {
                let mut client = Client::new(address);
                let mut answered = 0;
                loop {
                    let reply = client.ask("POST", "/predictions/odd", &[], b"[15]").expect("a reset");
                    assert_eq!(reply.text(), "15");
                    answered += 1;
                    if reply.header("connection") == Some("close") {
                        return answered;
                    }
                }
            })
        })
        .collect();
    std::thread::sleep(Duration::from_millis(700));
    server.end().unwrap();
    for client in clients {
        assert!(client.join().unwrap() >= 1);
    }
}

#[test]
fn a_broken_archive_keeps_no_other_from_being_served() {
    let store = store("broken");
    let server = Server::new(settings(&[("model_store", store.to_str().unwrap()), ("load_models", "all")])).unwrap();
    let refused: Vec<String> = server.refused().iter().map(ToString::to_string).collect();
    assert!(
        matches!(refused.as_slice(), [only] if only.contains("cut.mar") && only.contains("archive")),
        "{refused:?}"
    );
    let named = [("model_store", store.to_str().unwrap()), ("load_models", "cut.mar")];
    assert!(Server::new(settings(&named)).is_err());
    let server = TestServer::start(server);
    assert_eq!(post(server.inference, "/predictions/titanic/1.0", WOMAN).text(), "Survived");
}

#[test]
fn a_server_that_could_load_none_of_its_models_is_not_ready() {
    let store = folder("none");
    std::fs::write(store.join("cut.mar"), "no archive").unwrap();
    let wanted = [("model_store", store.to_str().unwrap()), ("load_models", "all")];
    let server = TestServer::start(Server::new(settings(&wanted)).unwrap());
    let ready = get(server.inference, "/v2/health/ready");
    assert_eq!((ready.status, ready.json()), (503, json!({"ready": false})));
    assert_eq!(get(server.inference, "/v2/health/live").status, 200);
}

#[test]
fn a_folder_of_inputs_that_is_not_there() {
    for nowhere in ["no/such/folder", "Cargo.toml"] {
        let message = Settings::default().set("input_directory", nowhere).unwrap_err().to_string();
        assert!(message.contains(nowhere) && message.contains("there is no such folder"), "{message}");
    }
}
