// Search from disk: a browser starts no worker from a file, so the script of the worker runs in a hidden frame instead.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      frame.title = "search";
      document.body.append(frame);
      const inside = frame.contentWindow;
      const scripts = [];
      let loading = Promise.resolve();
      const load = (address) => {
        loading = loading.then(
          () =>
            new Promise((done, failed) => {
              const script = inside.document.createElement("script");
              script.src = new URL(address, document.baseURI).href;
              script.onload = done;
              script.onerror = () => failed(new Error(`cannot load ${address}`));
              inside.document.head.append(script);
              scripts.push(script);
            }),
        );
        return loading;
      };
      inside.importScripts = (...addresses) => Promise.all(addresses.map(load));
      inside.postMessage = (data) => {
        const event = new MessageEvent("message", { data });
        this.dispatchEvent(event);
        if (this.onmessage) this.onmessage(event);
      };
      this.inside = inside;
      this.ready = load(url);
      this.frame = frame;
    }
    postMessage(data) {
      this.ready.then(() => this.inside.dispatchEvent(new MessageEvent("message", { data })));
    }
    terminate() {
      this.frame.remove();
    }
  };
}
