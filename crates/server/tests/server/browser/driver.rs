//! A real browser, driven by the WebDriver protocol (W3C): Debian's Chromium without a window.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::client::{Call, PATIENCE};

/// What WebDriver calls the field with an element's id.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// How long a browser may take to end.
const FAREWELL: Duration = Duration::from_secs(10);

/// One browser with one page; both end with it.
pub(crate) struct Browser {
    _driver: Driver,
    address: SocketAddr,
    session: String,
    origin: String,
    _profile: TempDir,
    _turn: SemaphorePermit<'static>,
}

/// Ends with whoever has it, and takes its browser along.
struct Driver(Child);

/// A browser wants a core and 300 MB for itself.
static TURNS: Semaphore = Semaphore::const_new(2);

impl Browser {
    /// A browser whose relative addresses belong to the server at `server`; the page is that many pixels wide.
    pub(crate) async fn start(server: SocketAddr, width: u32) -> Self {
        let turn = TURNS.acquire().await.expect("never closed");
        let profile = tempfile::tempdir().expect("a folder");
        let mut driver = Driver::start(profile.path());
        let port = port_of(&mut driver.0);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let session = begin(address, profile.path(), width).await;
        let browser = Self {
            _driver: driver,
            address,
            session,
            origin: format!("http://{server}"),
            _profile: profile,
            _turn: turn,
        };
        browser.size(width, 900).await;
        browser
    }

    async fn command(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let answer = self.try_command(method, path, body).await;
        assert!(answer.get("error").is_none(), "{path}: {answer}");
        answer
    }

    async fn try_command(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let call = Call::new(self.address, method, &format!("/session/{}{path}", self.session));
        let call = match body {
            Some(body) => call.json(&body),
            None => call,
        };
        call.send().await.json()["value"].take()
    }

    async fn size(&self, width: u32, height: u32) {
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        let body = json!({ "cmd": "Emulation.setDeviceMetricsOverride", "params": metrics });
        self.command(Method::POST, "/goog/cdp/execute", Some(body)).await;
    }

    /// Goes to a path of the server.
    pub(crate) async fn open(&self, path: &str) {
        let url = format!("{}{path}", self.origin);
        self.command(Method::POST, "/url", Some(json!({ "url": url }))).await;
    }

    /// The path and query of the page.
    pub(crate) async fn path(&self) -> String {
        self.script("return location.pathname + location.search").await.as_str().expect("text").to_owned()
    }

    /// What a script returns.
    pub(crate) async fn script(&self, script: &str) -> Value {
        self.command(Method::POST, "/execute/sync", Some(json!({ "script": script, "args": [] }))).await
    }

    /// Waits until a script returns true.
    pub(crate) async fn wait_until(&self, script: &str) {
        let poll = async {
            // The page may go away between two looks.
            let body = || Some(json!({ "script": script, "args": [] }));
            while self.try_command(Method::POST, "/execute/sync", body()).await != json!(true) {
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, poll).await.is_err() {
            let text = self.script("return document.body.innerText").await;
            panic!(
                "`{script}` never came true on {}:\n{}\n{:?}",
                self.path().await,
                text,
                self.console().await
            );
        }
    }

    /// Waits until an element shows that text.
    pub(crate) async fn wait_for(&self, selector: &str, text: &str) {
        let (selector, text) = (json!(selector), json!(text));
        self.wait_until(&format!(
            "return [...document.querySelectorAll({selector})].some((one) => one.innerText.includes({text}))"
        ))
        .await;
    }

    /// Waits for an element that can be seen, and answers its id.
    async fn element(&self, selector: &str) -> String {
        let shown = json!(selector);
        self.wait_until(&format!("return document.querySelector({shown})?.checkVisibility() === true")).await;
        let body = json!({ "using": "css selector", "value": selector });
        let found = self.command(Method::POST, "/element", Some(body)).await;
        found[ELEMENT].as_str().expect("an element").to_owned()
    }

    /// Clicks the first element of that selector, as a person would: it must not be covered.
    pub(crate) async fn click(&self, selector: &str) {
        let clicked = tokio::time::timeout(PATIENCE, self.click_patiently(selector)).await;
        assert!(clicked.is_ok(), "{selector} is always covered by something on {}", self.path().await);
    }

    async fn click_patiently(&self, selector: &str) {
        loop {
            let element = self.element(selector).await;
            let path = format!("/element/{element}/click");
            let answer = self.try_command(Method::POST, &path, Some(json!({}))).await;
            match answer["error"].as_str() {
                None => return,
                // The page made itself anew between the two; people do not notice either.
                Some("stale element reference" | "element click intercepted") => {
                    tokio::time::sleep(Duration::from_millis(30)).await;
                }
                Some(_) => panic!("{selector}: {answer}"),
            }
        }
    }

    /// Types into a field, after what is there.
    pub(crate) async fn type_into(&self, selector: &str, text: &str) {
        let element = self.element(selector).await;
        self.command(Method::POST, &format!("/element/{element}/value"), Some(json!({ "text": text }))).await;
    }

    /// Chooses an option of a list by its value.
    pub(crate) async fn choose(&self, selector: &str, value: &str) {
        self.element(selector).await;
        let (selector, value) = (json!(selector), json!(value));
        self.script(&format!("document.querySelector({selector}).value = {value}; return null")).await;
    }

    /// Empties a field.
    pub(crate) async fn clear(&self, selector: &str) {
        let element = self.element(selector).await;
        self.command(Method::POST, &format!("/element/{element}/clear"), Some(json!({}))).await;
    }

    /// Presses keys on whatever has the focus.
    pub(crate) async fn press(&self, keys: &str) {
        let downs = keys.chars().flat_map(|key| {
            [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })]
        });
        let actions =
            json!({ "actions": [{ "type": "key", "id": "keys", "actions": downs.collect::<Vec<_>>() }] });
        self.command(Method::POST, "/actions", Some(actions)).await;
    }

    /// Drags the middle of an element to the middle of another one and lets go, with a mouse.
    pub(crate) async fn drag(&self, from: &str, to: &str) {
        let mut points = Vec::new();
        for selector in [from, to] {
            let element = self.element(selector).await;
            let rect = self.command(Method::GET, &format!("/element/{element}/rect"), None).await;
            let middle = |place: &str, size: &str| {
                let value = |name: &str| rect[name].as_f64().expect("a number");
                (value(place) + value(size) / 2.0).round()
            };
            points.push((middle("x", "width"), middle("y", "height")));
        }
        let go = |(x, y): (f64, f64), duration: u64| json!({ "type": "pointerMove", "duration": duration, "x": x, "y": y });
        let steps = json!([
            go(points[0], 0), { "type": "pointerDown", "button": 0 }, go(points[1], 200), go(points[1], 50),
            { "type": "pointerUp", "button": 0 },
        ]);
        let mouse = json!({ "type": "pointer", "id": "mouse", "parameters": { "pointerType": "mouse" }, "actions": steps });
        self.command(Method::POST, "/actions", Some(json!({ "actions": [mouse] }))).await;
    }

    /// What the page complained about: errors of scripts, and everything that the policy forbade.
    pub(crate) async fn console(&self) -> Vec<String> {
        let entries = self.command(Method::POST, "/se/log", Some(json!({ "type": "browser" }))).await;
        let text = |entry: &Value| entry["message"].as_str().unwrap_or_default().to_owned();
        entries
            .as_array()
            .into_iter()
            .flatten()
            .filter(|entry| entry["level"] == "SEVERE")
            .map(text)
            .collect()
    }

    /// The page as a PNG.
    pub(crate) async fn picture(&self) -> Vec<u8> {
        use base64::Engine as _;
        let picture = self.command(Method::GET, "/screenshot", None).await;
        base64::engine::general_purpose::STANDARD.decode(picture.as_str().expect("text")).expect("base64")
    }

    /// Ends the browser, and fails when it does not.
    pub(crate) async fn close(self) {
        self.command(Method::DELETE, "", None).await;
    }
}

impl Drop for Browser {
    /// A driver that is told to end leaves its browser behind, also when a test failed; so the browser goes first.
    fn drop(&mut self) {
        let Ok(mut driver) = TcpStream::connect_timeout(&self.address, FAREWELL) else { return };
        let _ = driver.set_read_timeout(Some(FAREWELL));
        let request = format!("DELETE /session/{} HTTP/1.1\r\nHost: {}\r\n\r\n", self.session, self.address);
        if driver.write_all(request.as_bytes()).is_ok() {
            let _ = driver.read(&mut [0; 64]);
        }
    }
}

impl Driver {
    /// What driver and browser write goes into `folder`.
    fn start(folder: &Path) -> Self {
        let driver = Command::new("chromedriver")
            .arg("--port=0")
            .env("TMPDIR", folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts; `scripts/test` installs it as `chromium-driver`");
        Self(driver)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(id) = rustix::process::Pid::from_raw(self.0.id().cast_signed()) {
            let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        }
        let _ = self.0.wait();
    }
}

/// The driver says its port on a line of its own.
fn port_of(driver: &mut Child) -> u16 {
    let lines = BufReader::new(driver.stdout.take().expect("piped")).lines();
    let mut lines = lines.map_while(Result::ok);
    let port = lines
        .find_map(|line| line.rsplit_once("successfully on port ")?.1.trim_end_matches('.').parse().ok());
    // Whatever it says later has to go somewhere.
    std::thread::spawn(move || lines.for_each(drop));
    port.expect("chromedriver says its port")
}

async fn begin(address: SocketAddr, profile: &Path, width: u32) -> String {
    let arguments = [
        "--headless=new".to_owned(),
        // Tests run as root and in containers with a small /dev/shm.
        "--no-sandbox".to_owned(),
        "--disable-dev-shm-usage".to_owned(),
        "--disable-gpu".to_owned(),
        "--no-first-run".to_owned(),
        "--disable-background-networking".to_owned(),
        "--disable-component-update".to_owned(),
        format!("--window-size={},900", width.max(500)),
        format!("--user-data-dir={}", profile.display()),
    ];
    let capabilities = json!({ "capabilities": { "alwaysMatch": {
        "goog:chromeOptions": { "args": arguments },
        "goog:loggingPrefs": { "browser": "ALL" },
    } } });
    let answer = Call::new(address, Method::POST, "/session").json(&capabilities).send().await.json();
    answer["value"]["sessionId"].as_str().unwrap_or_else(|| panic!("no browser: {answer}")).to_owned()
}
