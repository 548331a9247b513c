/* The panels of each run, what is switched on in them, and what can be saved. */

const SETTLED = 150

class View {
  constructor(section, data) {
    Object.assign(this, {section, data, unit: "samples", logX: false, logY: false, seeds: false})
    this.hidden = new Set()
    this.marked = null
    this.tools = section.querySelector(".tools")
    this.names = [...new Map(data.arms.map(arm => [arm.name, arm])).entries()]
    this.recall()
    const figures = [...section.querySelectorAll("figure[data-figure]")]
    this.panels = figures.map(figure => new Panel(this, figure, data.figures[figure.dataset.figure]))
    this.makeLegend()
    this.listen()
    this.draw()
  }

  /* A button for each arm; one word for all panels. */
  makeLegend() {
    const legend = this.tools.querySelector(".legend")
    const several = this.data.arms.some(arm => !arm.reference)
    const button = ([name, arm]) => `<button type="button" aria-pressed="${!this.hidden.has(name)}">${swatch(arm)}${escaped(name)}${arm.reference && several ? "<small>reference</small>" : ""}</button>`
    const both = this.names.length > 2 ? '<button type="button" class="all">all</button><button type="button" class="none">none</button>' : ""
    legend.innerHTML = this.names.map(button).join("") + both
    this.buttons = [...legend.querySelectorAll("[aria-pressed]")]
    this.buttons.forEach((one, place) => {
      const [name] = this.names[place]
      one.addEventListener("click", () => this.toggle(name))
      one.addEventListener("mouseenter", () => this.mark(name))
      one.addEventListener("mouseleave", () => this.mark(null))
    })
    legend.querySelector(".all")?.addEventListener("click", () => this.only(() => true))
    legend.querySelector(".none")?.addEventListener("click", () => this.only(() => false))
  }

  listen() {
    const inputs = this.tools.querySelectorAll("input")
    for (const input of inputs) {
      if (input.type === "radio") input.checked = input.value === this.unit
      else input.checked = this[input.dataset.choice]
      input.addEventListener("change", () => {
        this[input.dataset.choice] = input.type === "radio" ? input.value : input.checked
        this.draw()
      })
    }
    this.tools.querySelector(".curves-csv").addEventListener("click", () => save(this.csv(), `${this.data.name}-curves.csv`))
    this.tools.querySelector(".arms-csv").addEventListener("click", () => save(this.data.table, `${this.data.name}-arms.csv`))
  }

  toggle(name) {
    if (!this.hidden.delete(name)) this.hidden.add(name)
    this.draw()
  }

  only(wanted) {
    this.hidden = new Set(this.names.map(([name]) => name).filter(name => !wanted(name)))
    this.draw()
  }

  mark(name) {
    if (name !== null && this.hidden.has(name)) return
    this.marked = name
    this.draw()
  }

  draw() {
    this.buttons.forEach((button, place) => button.setAttribute("aria-pressed", !this.hidden.has(this.names[place][0])))
    this.ranges = new Map()
    this.span = this.spanned()
    /* Room for the names of levels, equal in all panels. */
    this.margin = 10 + 6.4 * Math.max(0, ...this.panels.flatMap(panel => panel.levels()).map(level => level.name.length))
    for (const panel of this.panels) panel.draw()
    this.remember()
  }

  /* The cursor in all panels; null removes it. */
  point(value, panel, y) {
    this.pointed = value
    for (const each of this.panels) each.show(value, each === panel, each === panel ? y : undefined)
  }

  /* The range of the horizontal axis of all panels. */
  spanned() {
    const values = this.data.grids.flatMap(grid => [grid[this.unit][0], grid[this.unit].at(-1)])
    const last = Math.max(1, ...values)
    if (!this.logX) return [0, last]
    const least = Math.min(...this.data.grids.flatMap(grid => grid[this.unit].filter(value => value > 0)))
    return [Math.min(least, last / 2), last]
  }

  /* The range of a metric over the visible arms of all panels: of its means, and of intervals that are not much wider. */
  rangeOf(metric) {
    if (!this.ranges.has(metric)) this.ranges.set(metric, this.ranged(metric))
    return this.ranges.get(metric)
  }

  ranged(metric) {
    const panels = this.panels.filter(panel => panel.metric === metric).map(panel => panel.curves)
    const curves = panels.flat()
    const crowded = panels.some(each => each.length > MOST_BANDS)
    const known = lists => lists.flat().filter(value => value !== null && (!this.logY || value > 0))
    const means = known(curves.map(curve => curve.mean))
    if (!means.length) return this.logY ? [0.1, 1] : [0, 1]
    let [low, high] = [reduced(Math.min, means), reduced(Math.max, means)]
    const inner = this.seeds ? known(curves.flatMap(curve => curve.seeds)) : known(curves.flatMap(curve => (crowded ? [] : [curve.low, curve.high])))
    const [least, most] = [reduced(Math.min, [low, ...inner]), reduced(Math.max, [high, ...inner])]
    if (this.logY) return [Math.max(least, low / 10) * 0.9, Math.min(most, high * 10) * 1.1]
    const height = high - low || Math.abs(high) || 1
    low = Math.max(least, low - (this.seeds ? Infinity : height))
    high = Math.min(most, high + (this.seeds ? Infinity : height))
    if (isAccuracy(metric)) [low, high] = [Math.max(0, low), Math.min(1, high)]
    const space = 0.04 * (high - low || height)
    return [low - space, high + space]
  }

  /* The drawn means and intervals of all arms: a row for each arm, metric and measurement. */
  csv() {
    const keys = Object.keys(this.data.arms[0].settings)
    const rows = [["arm", ...keys, "metric", "step", "samples", "mean", "low", "high", "seeds"]]
    for (const {metric, curves} of this.data.figures)
      for (const curve of curves) {
        const [arm, grid] = [this.data.arms[curve.arm], this.data.grids[curve.grid]]
        const settings = keys.map(key => arm.settings[key])
        grid.steps.forEach((step, place) => {
          const count = Array.isArray(curve.count) ? curve.count[place] : curve.count
          const numbers = [grid.samples[place], curve.mean[place], curve.low[place], curve.high[place], count]
          rows.push([arm.label, ...settings, metric, step, ...numbers])
        })
      }
    return rows.map(row => row.map(cell).join(",")).join("\n") + "\n"
  }

  get key() {
    return `svl:${location.pathname}:${this.section.id}`
  }

  /* A page that reloads itself keeps what was chosen. */
  remember() {
    const {unit, logX, logY, seeds} = this
    stored(storage => storage.setItem(this.key, JSON.stringify({unit, logX, logY, seeds, hidden: [...this.hidden]})))
  }

  recall() {
    const {hidden = [], ...choices} = JSON.parse(stored(storage => storage.getItem(this.key)) || "{}")
    Object.assign(this, choices)
    const known = new Set(this.names.map(([name]) => name))
    this.hidden = new Set(hidden.filter(name => known.has(name)))
  }
}

const reduced = (rule, values) => values.reduce((one, other) => rule(one, other))
const cell = value => (value === null ? "" : /[",\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : value)

/* Storage may be forbidden, as in a page that is shown inside another. */
function stored(use) {
  try {
    return use(sessionStorage)
  } catch {
    return null
  }
}

function save(text, name) {
  const link = document.createElement("a")
  link.href = URL.createObjectURL(new Blob([text], {type: "text/csv"}))
  link.download = name.replace(/[^\w.=,-]+/g, "-")
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 10000)
}

async function unpacked(text) {
  const letters = atob(text.trim().replaceAll("-", "+").replaceAll("_", "/"))
  const bytes = Uint8Array.from(letters, letter => letter.charCodeAt(0))
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))
  return JSON.parse(await new Response(stream).text())
}

/* While a fit is watched, the page reloads itself, but not under the hand of its reader. */
function reloadUnlessUsed(views) {
  const every = document.querySelector('meta[name="reload"]')
  const choice = document.querySelector(".reloading input")
  if (!every) return
  if (choice) {
    choice.checked = stored(storage => storage.getItem("svl:reload")) !== "no"
    choice.addEventListener("change", () => stored(storage => storage.setItem("svl:reload", choice.checked ? "yes" : "no")))
  }
  const isUsed = () => document.hidden || (choice && !choice.checked) || views.some(view => view.pointed != null) || String(getSelection())
  setInterval(() => isUsed() || location.reload(), 1000 * every.content)
}

async function begin() {
  if (!("DecompressionStream" in window)) return
  const views = []
  for (const section of document.querySelectorAll("section.run")) {
    const packed = section.querySelector("script.data")
    if (!packed) continue
    const data = await unpacked(packed.textContent)
    section.classList.add("is-live")
    section.querySelector(".tools").hidden = false
    views.push(new View(section, data))
  }
  let waiting
  addEventListener("resize", () => {
    clearTimeout(waiting)
    waiting = setTimeout(() => views.forEach(view => view.draw()), SETTLED)
  })
  addEventListener("pointerdown", event => {
    if (!event.target.closest(".live")) views.forEach(view => view.point(null))
  })
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach(part => (part.open = true)))
  reloadUnlessUsed(views)
  document.documentElement.dataset.ready = "yes"
}

begin()
