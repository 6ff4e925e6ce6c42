//! The real services, started, used and stopped.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::*;

/// Returns `true` if anything accepts connections at `endpoint`.
fn accepts(endpoint: &str) -> bool {
    let address = endpoint.strip_prefix("http://").unwrap().parse().unwrap();
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
}

async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn check_dynamodb(kind: DynamoDbKind) {
    use aws_sdk_dynamodb::types::{
        AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, StreamSpecification,
        StreamViewType,
    };
    let wanted = WantedServices { dynamodb: kind, sqs: false, engine: None, ..WantedServices::default() };
    let services = Services::start_beside(wanted, &Existing::default(), &Jdks::from_env()).await.unwrap();
    let endpoint = services.dynamodb_endpoint().to_owned();
    let key = AttributeDefinition::builder().attribute_name("id").attribute_type(ScalarAttributeType::S);
    let schema = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash);
    let stream = StreamSpecification::builder().stream_enabled(true).stream_view_type(StreamViewType::NewImage);
    let table = dynamodb_client(&endpoint)
        .create_table()
        .table_name("started")
        .attribute_definitions(key.build().unwrap())
        .key_schema(schema.build().unwrap())
        .billing_mode(BillingMode::PayPerRequest)
        .stream_specification(stream.build().unwrap())
        .send()
        .await
        .unwrap();
    let arn = table.table_description.unwrap().latest_stream_arn.unwrap();
    let described = streams_client(&endpoint).describe_stream().stream_arn(&arn).send().await.unwrap();
    assert_eq!(described.stream_description.unwrap().stream_arn.unwrap(), arn);
    services.stop().await.unwrap();
    assert!(!accepts(&endpoint));
}

#[tokio::test]
async fn embedded_dynamodb_serves_tables_and_streams_until_it_is_stopped() {
    check_dynamodb(DynamoDbKind::Embedded).await;
}

#[tokio::test]
async fn dynamodb_local_serves_tables_and_streams_until_it_is_stopped() {
    check_dynamodb(DynamoDbKind::DynamoDbLocal).await;
}

#[tokio::test]
async fn dropped_embedded_dynamodb_stops() {
    let service = EmbeddedDynamoDb::start().await.unwrap();
    let endpoint = service.endpoint().to_owned();
    dynamodb_client(&endpoint).list_tables().send().await.unwrap();
    drop(service);
    eventually("the port is closed", async || !accepts(&endpoint)).await;
}

#[tokio::test]
async fn sqs_keeps_messages_until_it_is_stopped() {
    let service = ElasticMq::start(&Jdks::from_env()).await.unwrap();
    let endpoint = service.endpoint().to_owned();
    let client = sqs_client(&endpoint);
    let queue = client.create_queue().queue_name("letters").send().await.unwrap().queue_url.unwrap();
    assert!(queue.starts_with(&endpoint), "{queue}");
    client.send_message().queue_url(&queue).message_body("hello").send().await.unwrap();
    let received = client.receive_message().queue_url(&queue).send().await.unwrap();
    assert_eq!(received.messages()[0].body(), Some("hello"));
    service.stop().await.unwrap();
    assert!(!accepts(&endpoint));
}

#[tokio::test]
async fn a_killed_engine_comes_back_with_its_data() {
    let engine = OpenSearch::start(EngineChoice::Newest, &Jdks::from_env()).await.unwrap();
    let endpoint = engine.endpoint().to_owned();
    let client = opensearch::client(&endpoint, Duration::from_secs(60)).unwrap();
    let impatient = opensearch::client(&endpoint, Duration::from_secs(1)).unwrap();
    let document = serde_json::json!({"kept": true});
    let index = ::opensearch::IndexParts::IndexId("faults", "1");
    client.index(index).body(&document).send().await.unwrap().error_for_status_code().unwrap();
    engine.kill().await.unwrap();
    assert!(!accepts(&endpoint));
    engine.restart().await.unwrap();
    eventually("the document is back", async || {
        let answer = client.get(::opensearch::GetParts::IndexId("faults", "1")).send().await;
        answer.is_ok_and(|response| response.status_code().is_success())
    })
    .await;
    engine.freeze().await.unwrap();
    assert!(accepts(&endpoint), "a frozen engine accepts connections");
    assert!(impatient.ping().send().await.is_err(), "a frozen engine answers nothing");
    engine.thaw().await.unwrap();
    eventually("it answers again", async || client.ping().send().await.is_ok()).await;
    engine.stop().await.unwrap();
    assert!(!accepts(&endpoint));
}

#[tokio::test]
async fn an_existing_service_is_used_and_left_alone() {
    let existing = EmbeddedDynamoDb::start().await.unwrap();
    let url = existing.endpoint().to_owned();
    let given = Existing { dynamodb: Some(url.clone()), ..Existing::default() };
    let wanted = WantedServices { sqs: false, engine: None, ..WantedServices::default() };
    let services = Services::start_beside(wanted, &given, &Jdks::from_env()).await.unwrap();
    assert_eq!(services.dynamodb_endpoint(), url);
    services.stop().await.unwrap();
    assert!(accepts(&url));
}

#[tokio::test]
async fn tests_share_one_bundle() {
    let wanted = WantedServices { sqs: false, engine: None, ..WantedServices::default() };
    let (one, other) = (shared(wanted), std::thread::spawn(move || shared(wanted)).join().unwrap());
    assert_eq!(one.dynamodb_endpoint(), other.dynamodb_endpoint());
    dynamodb_client(one.dynamodb_endpoint()).list_tables().send().await.unwrap();
}
