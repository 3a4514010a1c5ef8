//! What a gRPC client of the caller's own is told: where to connect, and what each call must carry.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

#[macro_use]
#[path = "facades/both.rs"]
mod both;

use std::time::SystemTime;

both! {
    fn each_deployment_has_a_place_and_metadata_for_it() {
        let client = facade::Client::builder().api_key("k.s3cret").build().unwrap();
        let model = client.model("abc").unwrap();
        let (key, id) = ("baseten-authorization: Api-Key k.s3cret", "baseten-model-id: model-abc");
        //   model                                     host                    metadata beside those two
        for (model, host, more) in [
            (model.clone(), "model-abc", Some("x-baseten-environment: production")),
            (model.clone().environment("qa").unwrap(), "model-abc", Some("x-baseten-environment: qa")),
            (model.clone().deployment("d1").unwrap(), "model-abc", Some("x-baseten-deployment: d1")),
            (model.clone().regional("us").unwrap(), "model-abc-us", None),
        ] {
            let grpc = model.grpc().unwrap();
            assert_eq!(grpc.url(), format!("https://{host}.grpc.api.baseten.co:443"));
            let metadata = grpc.metadata(SystemTime::now()).unwrap();
            let said = |(name, value): (_, &http::HeaderValue)| format!("{name}: {}", value.to_str().unwrap());
            let mut said: Vec<_> = metadata.iter().map(said).collect();
            said.sort();
            assert_eq!(said, [key, id].into_iter().chain(more).collect::<Vec<_>>(), "{host}");
            assert!(!format!("{metadata:?}{grpc:?}").contains("s3cret"));
        }
        let error = model.development().unwrap().grpc().unwrap_err();
        assert_eq!(error.to_string(), "gRPC was asked of a development deployment, which has none: publish the model");
    }
}
