//! Budget: a message costs no allocation once the vectors of a connection have grown.

use penstock_http::chunk::{CHUNK_END, LAST_CHUNK, chunk_head};
use penstock_http::stream::{Boundary, StreamKind};
use penstock_http::writer::{RequestWriter, ResponseWriter};
use penstock_http::{
    BodyDecoder, Form, HeadLimits, RequestHead, ResponseHead, Step, parse_request, parse_response,
};

const LIMITS: HeadLimits =
    HeadLimits { head_bytes_max: 16_384, header_count_max: 100, target_bytes_max: 8_192 };

const REQUEST: &[u8] = b"POST /m/v1/chat/completions HTTP/1.1\r\nHost: gateway.test\r\n\
    Accept: application/json\r\nContent-Type: application/json\r\nUser-Agent: OpenAI/Python\r\n\
    Authorization: Bearer x\r\nConnection: keep-alive, x-hop\r\nTransfer-Encoding: chunked\r\n\r\n";

const RESPONSE: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nServer: uvicorn\r\n\
    Transfer-Encoding: chunked\r\n\r\n";

const BODY: &[u8] = b"5;a=\"b\"\r\nhello\r\n9\r\ndata: a\n\n\r\n0\r\nX: y\r\n\r\n";

fn decode(decoder: &mut BodyDecoder, boundary: &mut Boundary) -> usize {
    let mut rest = BODY;
    let mut length = 0;
    while let Ok(step) = decoder.decode(rest) {
        match step {
            Step::Skip(skipped) => rest = &rest[skipped..],
            Step::Data(data) => {
                boundary.scan(&rest[..data]);
                length += data;
                rest = &rest[data..];
            }
            Step::Done | Step::NeedMore => break,
        }
    }
    length
}

fn exchange(request: &mut RequestHead, response: &mut ResponseHead, out: &mut Vec<u8>) -> usize {
    out.clear();
    assert_eq!(parse_request(REQUEST, &LIMITS, request), Ok(Some(REQUEST.len())));
    let Form::Origin(target) = request.form else { panic!("no origin-form") };
    let target = str::from_utf8(target.of(REQUEST)).expect("room and valid parts");
    let mut writer =
        RequestWriter::start(out, request.method.as_str(), "", target, "127.0.0.1:8000")
            .expect("room and valid parts");
    for (name, value) in request.passing_up(REQUEST) {
        writer.header(name, value).expect("room and valid parts");
    }
    writer.finish_chunked().expect("room and valid parts");

    assert_eq!(parse_response(RESPONSE, &LIMITS, false, response), Ok(Some(RESPONSE.len())));
    let mut writer = ResponseWriter::start(out, response.status).expect("room and valid parts");
    for (name, value) in response.passing_down(RESPONSE) {
        writer.header(name, value).expect("room and valid parts");
    }
    writer.finish_chunked().expect("room and valid parts");
    out.extend_from_slice(chunk_head(5).as_ref());
    out.extend_from_slice(CHUNK_END);
    out.extend_from_slice(LAST_CHUNK);
    let mut boundary = Boundary::new(StreamKind::Sse);
    decode(&mut BodyDecoder::request(request.framing), &mut boundary)
        + decode(&mut BodyDecoder::response(response.framing), &mut boundary)
}

#[test]
fn an_exchange_on_a_warm_connection_allocates_nothing() {
    let (mut request, mut response) = (RequestHead::new(), ResponseHead::new());
    let mut out = Vec::new();
    assert_eq!(exchange(&mut request, &mut response, &mut out), 28);
    let counted = allocation_counter::measure(|| {
        exchange(&mut request, &mut response, &mut out);
    });
    assert_eq!(counted.count_total, 0);
}

#[test]
fn a_refused_head_allocates_nothing() {
    let mut head = RequestHead::new();
    let mut out = Vec::new();
    exchange(&mut head, &mut ResponseHead::new(), &mut out);
    let refused = b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n";
    let counted = allocation_counter::measure(|| {
        assert!(parse_request(refused, &LIMITS, &mut head).is_err());
    });
    assert_eq!(counted.count_total, 0);
}
