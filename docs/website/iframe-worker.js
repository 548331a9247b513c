// Search from a folder. Browsers start no worker from file://, so a page that was opened from one gets a stand-in: the
// same script in a hidden frame. On a server this file does nothing.
if (location.protocol === "file:") {
  const prelude = `
    postMessage = (data) => parent.postMessage({ frameWorker: data }, "*")
    importScripts = (...urls) =>
      urls.reduce(
        (loaded, url) =>
          loaded.then(
            () =>
              new Promise((resolve, reject) => {
                const script = document.createElement("script")
                Object.assign(script, { src: url, onload: resolve, onerror: reject })
                document.body.append(script)
              })
          ),
        Promise.resolve()
      )`

  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      this.frame = Object.assign(document.createElement("iframe"), { hidden: true })
      document.body.append(this.frame)
      const page = this.frame.contentDocument
      page.open()
      page.write(`<body><script>${prelude}<\/script><script src="${url}"><\/script></body>`)
      page.close()
      this.ready = new Promise((resolve) => (this.frame.contentWindow.onload = resolve))
      this.listener = ({ source, data }) => {
        if (source !== this.frame.contentWindow || !("frameWorker" in data)) return
        const message = new MessageEvent("message", { data: data.frameWorker })
        this.dispatchEvent(message)
        this.onmessage?.(message)
      }
      window.addEventListener("message", this.listener)
    }

    async postMessage(data) {
      await this.ready
      this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data }))
    }

    terminate() {
      window.removeEventListener("message", this.listener)
      this.frame.remove()
    }
  }
}
