//! What the OpenAPI description says of the parameters.

use serde_json::{Value, json};

use super::client::*;

/// Only the method's name tells whether such a parameter may be given.
#[test]
fn what_the_default_method_or_an_asked_one_has_is_not_described_as_null() {
    let described = get(shared().inference, "/api-description").json();
    let schemas = &described["components"]["schemas"];
    let nulls = |method: &str, parameter: &str| -> Vec<bool> {
        let forms = schemas[method]["anyOf"].as_array().unwrap_or_else(|| panic!("{method}"));
        forms.iter().map(|form| form["properties"][parameter] == json!({ "type": "null" })).collect()
    };
    for parameter in ["layer", "attribute_to_layer_input", "multiply_by_inputs"] {
        assert!(!nulls("vi-Occlusion", parameter).contains(&true), "{parameter}");
    }
    assert!(!nulls("titanic-NoiseTunnel", "set_bias_to_zero").contains(&true));
    assert!(!nulls("titanic-Saliency", "set_bias_to_zero").contains(&false));
    assert!(!nulls("vi-Occlusion", "seed").contains(&false));
    // Whether they are enough is chance.
    let described = &schemas["titanic-KernelShap"]["anyOf"][0]["properties"];
    assert!(described["captum_rules"].is_null() && described["paired"].is_object(), "{described}");
}

#[test]
fn steps_and_a_tolerance_may_be_null_in_each_others_place() {
    let server = shared().inference;
    let described = get(server, "/api-description").json();
    let schemas = described["components"]["schemas"].as_object().unwrap();
    let mut seen = 0;
    for (name, schema) in schemas.iter().filter(|(name, _)| name.starts_with("titanic-") || name.starts_with("vi-")) {
        let forms: Vec<&Value> = schema["anyOf"].as_array().into_iter().flatten().collect();
        for group in ["n_steps", "n_samples"] {
            if !forms.iter().any(|form| form["properties"][group]["maximum"].is_number()) {
                continue;
            }
            seen += 1;
            for form in &forms {
                assert!([group, "tolerance"].iter().all(|one| form["properties"][*one].is_object()), "{name}: {form}");
            }
        }
    }
    assert!(seen > 12, "{seen}");
    let body = |parameters: Value| {
        json!({ "instances": [WOMAN_ROW.split(',').collect::<Vec<_>>()], "parameters": parameters }).to_string()
    };
    let explain = |body: String| {
        ask(server, "POST", "/explanations/titanic", &[("Content-Type", "application/json")], body.as_bytes())
    };
    let nothing = explain(body(json!({ "n_steps": null, "quadrature": null, "tolerance": null, "n_samples": null })));
    assert_eq!(nothing.status, 200, "{}", nothing.text());
    let both = explain(body(json!({ "quadrature": "trapezoid", "tolerance": 0.01 })));
    assert!(both.text().contains("quadrature and tolerance both came: give one of them"), "{}", both.text());
}
