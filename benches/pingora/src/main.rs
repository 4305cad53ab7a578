//! Pingora as a plain reverse proxy: `pingora-peer LISTEN TO`, one worker, 512 idle connections kept.

use std::sync::Arc;

use async_trait::async_trait;
use pingora::prelude::*;
use pingora::server::configuration::ServerConf;

struct To(String);

#[async_trait]
impl ProxyHttp for To {
    type CTX = ();
    fn new_ctx(&self) {}
    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(&*self.0, false, String::new())))
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(listen), Some(to)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: pingora-peer LISTEN TO, such as pingora-peer 127.0.0.1:8080 127.0.0.1:3000");
        std::process::exit(2);
    };
    let conf = ServerConf { threads: 1, upstream_keepalive_pool_size: 512, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut service = http_proxy_service(&Arc::clone(&server.configuration), To(to));
    service.add_tcp(&listen);
    server.add_service(service);
    server.run_forever();
}
