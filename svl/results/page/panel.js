/* One panel: the curves of a metric, a cursor at a measurement, and what the curves are there. */

const MARKERS = {
  o: "M3 0A3 3 0 1 1-3 0A3 3 0 1 1 3 0Z",
  s: "M-2.7-2.7H2.7V2.7H-2.7Z",
  "^": "M0-3.4L3.2 2.4H-3.2Z",
  D: "M0-3.6L3.6 0L0 3.6L-3.6 0Z",
  v: "M0 3.4L3.2-2.4H-3.2Z",
  P: "M-1.1-3.3H1.1V-1.1H3.3V1.1H1.1V3.3H-1.1V1.1H-3.3V-1.1H-1.1Z",
  X: "M-3.2-1.8L-1.8-3.2L0-1.4L1.8-3.2L3.2-1.8L1.4 0L3.2 1.8L1.8 3.2L0 1.4L-1.8 3.2L-3.2 1.8L-1.4 0Z",
  "<": "M-3.4 0L2.4-3.2V3.2Z",
  ">": "M3.4 0L-2.4-3.2V3.2Z",
  p: "M0-3.4L3.2-1.1L2 2.8H-2L-3.2-1.1Z",
  h: "M0-3.4L3-1.7V1.7L0 3.4L-3 1.7V-1.7Z",
  "*": "M0-4L1-1.2L4-1.2L1.6.6L2.5 3.6L0 1.8L-2.5 3.6L-1.6.6L-4-1.2L-1-1.2Z",
}
const MOST_BANDS = 12
const MOST_ROWS = 10

const escaped = text => String(text).replace(/[&<>"]/g, letter => `&#${letter.charCodeAt(0)};`)
const colour = arm => `var(--${arm.colour})`
const dash = arm => (arm.dash.length ? ` stroke-dasharray="${arm.dash.join(" ")}"` : "")
const number = pixel => pixel.toFixed(1).replace(/\.0$/, "")

/* The look of an arm: its line with a marker. */
const swatch = arm =>
  `<svg class="swatch" viewBox="0 0 34 12" aria-hidden="true"><path d="M1 6H33" stroke="${colour(arm)}" fill="none" stroke-width="2"${dash(arm)}/>` +
  `<path d="${MARKERS[arm.marker]}" transform="translate(17 6)" fill="${colour(arm)}"/></svg>`

/* The place in an increasing list that is nearest to a value. */
function nearest(values, value, scale) {
  const target = scale.at(value)
  let best = 0
  let least = Infinity
  values.forEach((candidate, place) => {
    const pixel = scale.at(candidate)
    if (pixel !== null && Math.abs(pixel - target) < least) [best, least] = [place, Math.abs(pixel - target)]
  })
  return best
}

class Panel {
  constructor(view, figure, data) {
    Object.assign(this, {view, data, metric: data.metric})
    this.name = data.title ? `${data.metric}, ${data.title}` : data.metric
    this.host = figure.querySelector(".live")
    this.host.innerHTML =
      '<svg class="panel" aria-hidden="true"><g class="still-part"></g><g class="cursor"></g></svg><div class="tip" hidden></div>'
    this.svg = this.host.querySelector("svg")
    this.tip = this.host.querySelector(".tip")
    const attributes = {tabindex: 0, role: "slider", "aria-label": `${this.name}: measurement`, "aria-valuemin": 0, "aria-valuenow": 0}
    for (const [key, value] of Object.entries(attributes)) this.host.setAttribute(key, value)
    this.host.addEventListener("pointermove", event => this.pointed(event))
    this.host.addEventListener("pointerdown", event => this.pointed(event))
    this.host.addEventListener("pointerleave", event => event.pointerType === "mouse" && view.point(null))
    this.host.addEventListener("focus", () => this.host.matches(":focus-visible") && this.moveTo(this.places().length - 1))
    this.host.addEventListener("blur", () => view.point(null))
    this.host.addEventListener("keydown", event => this.pressed(event))
  }

  /* The curves of the arms that are switched on, with the measurements at which they are drawn. */
  get curves() {
    return this.data.curves
      .map(curve => ({...curve, look: this.view.data.arms[curve.arm], grid: this.view.data.grids[curve.grid]}))
      .filter(curve => !this.view.hidden.has(curve.look.name))
  }

  xs(curve) {
    return curve.grid[this.view.unit]
  }

  draw() {
    const width = Math.max(240, this.host.clientWidth)
    const height = Math.round(Math.min(380, Math.max(210, 0.62 * width)))
    const lines = this.levels()
    const area = {left: 46, right: width - Math.min(this.view.margin, width / 3), top: 8, bottom: height - 36}
    const [low, high] = this.view.rangeOf(this.metric)
    const [first, last] = this.view.span
    this.x = new Scale(first, last, area.left, area.right, this.view.logX)
    this.y = new Scale(low, high, area.bottom, area.top, this.view.logY)
    this.area = area
    const clip = `${this.host.id}-clip`
    const curves = this.curves
    this.crowded = curves.length > MOST_BANDS
    const parts = [this.axes(width, height), this.drawnLevels(lines)]
    parts.push(`<clipPath id="${clip}"><path d="M${area.left - 4} ${area.top - 4}H${area.right + 4}V${area.bottom + 1}H${area.left - 4}Z"/></clipPath>`)
    parts.push(`<g clip-path="url(#${clip})">`)
    for (const curve of curves) if (!this.crowded && !this.view.seeds) parts.push(this.band(curve))
    for (const curve of curves) if (this.view.seeds) parts.push(this.singleSeeds(curve))
    for (const curve of curves) parts.push(this.line(curve))
    parts.push("</g>")
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`)
    this.svg.firstChild.innerHTML = parts.join("")
    this.host.setAttribute("aria-valuemax", Math.max(0, this.places().length - 1))
    this.show(null)
  }

  axes(width, height) {
    const {left, right, top, bottom} = this.area
    const across = this.x.ticks(Math.max(3, (right - left) / 60))
    const up = this.y.ticks(Math.max(3, (bottom - top) / 28))
    let drawn = ""
    for (const tick of up) {
      const y = number(this.y.at(tick))
      drawn += `<path class="rule" d="M${left} ${y}H${right}"/><text x="${left - 7}" y="${y}" dy=".32em" text-anchor="end">${tickText(tick)}</text>`
    }
    for (const tick of across) {
      const x = number(this.x.at(tick))
      drawn += `<path class="axis" d="M${x} ${bottom}v4"/><text x="${x}" y="${bottom + 17}" text-anchor="middle">${quantity(tick)}</text>`
    }
    return `${drawn}<path class="axis" d="M${left} ${top}V${bottom}H${right}"/><text class="unit" x="${right}" y="${height - 4}" text-anchor="end">${this.view.unit}</text>`
  }

  /* The target and the losses of reference predictors that are within the panel. */
  levels() {
    const {target} = this.view.data
    const [low, high] = this.view.rangeOf(this.metric)
    const lines = this.data.references.filter(line => line.arm === null || !this.view.hidden.has(this.view.data.arms[line.arm].name))
    const goal = target && target.metric === this.metric ? [{name: "target", value: target.value, goal: true}] : []
    return [...goal, ...lines].filter(line => line.value >= low && line.value <= high)
  }

  /* Names are in the margin, below each other where levels are close. */
  drawnLevels(lines) {
    const {left, right} = this.area
    let below = -Infinity
    return [...lines].sort((one, other) => other.value - one.value).map(line => {
      const y = this.y.at(line.value)
      if (y === null) return ""
      below = Math.max(y, below + 13)
      const stroke = line.arm === null || line.goal ? "var(--muted)" : colour(this.view.data.arms[line.arm])
      return `<path d="M${left} ${number(y)}H${right}" stroke="${stroke}" fill="none" stroke-dasharray="${line.goal ? "1.5 3" : "5 4"}"/>` +
        `<text class="level" x="${right + 6}" y="${number(below)}" dy=".32em">${escaped(line.name)}</text>`
    }).join("")
  }

  path(xs, ys) {
    let pen = "M"
    let drawn = ""
    xs.forEach((value, place) => {
      const [x, y] = [this.x.at(value), this.y.at(ys[place])]
      if (x === null || y === null) pen = "M"
      else [drawn, pen] = [`${drawn}${pen}${number(x)} ${number(y)}`, "L"]
    })
    return drawn
  }

  faded(curve) {
    return this.view.marked !== null && this.view.marked !== curve.look.name ? ' class="faded"' : ""
  }

  /* A polygon for each stretch of measurements that have an interval. */
  band(curve) {
    const xs = this.xs(curve)
    let drawn = ""
    let above = []
    let below = []
    const close = () => {
      if (above.length > 1) drawn += `M${above.join("L")}L${below.reverse().join("L")}Z`
      above = []
      below = []
    }
    xs.forEach((value, place) => {
      const x = this.x.at(value)
      const high = this.y.at(curve.high[place])
      if (x === null || high === null) return close()
      const low = this.y.at(curve.low[place]) ?? this.area.bottom + 4
      above.push(`${number(x)} ${number(high)}`)
      below.push(`${number(x)} ${number(low)}`)
    })
    close()
    return `<g${this.faded(curve)}><path d="${drawn}" fill="${colour(curve.look)}" opacity=".17"/></g>`
  }

  singleSeeds(curve) {
    const xs = this.xs(curve).filter((_, place) => place % curve.every === 0)
    const drawn = curve.seeds.map(values => this.path(xs, values)).join("")
    return `<g${this.faded(curve)}><path class="seeds" d="${drawn}" stroke="${colour(curve.look)}"/></g>`
  }

  line(curve) {
    const xs = this.xs(curve)
    const apart = Math.max(1, Math.floor(xs.length / 6))
    let markers = ""
    for (let place = Math.round(curve.look.stagger * apart); place < xs.length && !this.crowded; place += apart) {
      const [x, y] = [this.x.at(xs[place]), this.y.at(curve.mean[place])]
      if (x !== null && y !== null)
        markers += `<path d="${MARKERS[curve.look.marker]}" transform="translate(${number(x)} ${number(y)})" fill="${colour(curve.look)}"/>`
    }
    return `<g${this.faded(curve)} data-arm="${escaped(curve.look.name)}"><path d="${this.path(xs, curve.mean)}" fill="none" stroke="${colour(curve.look)}" stroke-width="${this.crowded ? 1 : 1.9}"${dash(curve.look)}/>${markers}</g>`
  }

  /* All measurements of the visible arms, which the keys go through. */
  places() {
    const every = new Set(this.curves.flatMap(curve => this.xs(curve)))
    return [...every].filter(value => this.x.at(value) !== null).sort((one, other) => one - other)
  }

  pointed(event) {
    const box = this.svg.getBoundingClientRect()
    const scale = this.svg.viewBox.baseVal.width / box.width
    const [x, y] = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale]
    const places = this.places()
    if (places.length) this.view.point(places[nearest(places, this.x.back(x), this.x)], this, y)
  }

  pressed(event) {
    const last = this.places().length - 1
    const now = this.place ?? last
    const moves = {ArrowRight: now + 1, ArrowUp: now + 1, ArrowLeft: now - 1, ArrowDown: now - 1, PageUp: now + 10, PageDown: now - 10, Home: 0, End: last}
    if (event.key === "Escape") return this.view.point(null)
    if (!(event.key in moves)) return
    event.preventDefault()
    this.moveTo(Math.min(last, Math.max(0, moves[event.key])))
  }

  moveTo(place) {
    const places = this.places()
    if (places.length) this.view.point(places[place], this)
  }

  /* The cursor at a place along the axis; what the curves are there, if this panel is the one that is pointed at. */
  show(value, active, y) {
    this.place = undefined
    this.tip.hidden = true
    this.svg.lastChild.innerHTML = ""
    const curves = value === null ? [] : this.curves.filter(curve => this.xs(curve).length)
    if (!curves.length) return
    const points = curves.map(curve => ({curve, place: nearest(this.xs(curve), value, this.x)}))
    const x = number(this.x.at(value))
    const close = y === undefined ? null : points.reduce((best, point) => (this.away(point, y) < this.away(best, y) ? point : best))
    /* Among many arms the nearest one is drawn over the others, with its interval. */
    const chosen = this.crowded && close ? `<g clip-path="url(#${this.host.id}-clip)">${this.band(close.curve)}<path class="chosen" d="${this.path(this.xs(close.curve), close.curve.mean)}" stroke="${colour(close.curve.look)}"/></g>` : ""
    const dots = (this.crowded && close ? [close] : points).map(({curve, place}) => {
      const [across, up] = [this.x.at(this.xs(curve)[place]), this.y.at(curve.mean[place])]
      return across === null || up === null ? "" : `<circle cx="${number(across)}" cy="${number(up)}" r="4" fill="${colour(curve.look)}"/>`
    })
    this.svg.lastChild.innerHTML = `<path class="line" d="M${x} ${this.area.top}V${this.area.bottom}"/>${chosen}${dots.join("")}`
    if (active) this.say(value, points, close, y)
  }

  /* How far a curve's point is from a height. */
  away({curve, place}, y) {
    return Math.abs((this.y.at(curve.mean[place]) ?? Infinity) - y)
  }

  say(value, points, close, y) {
    this.place = this.places().indexOf(value)
    const rows = [...points]
    if (rows.length > MOST_ROWS && close) rows.sort((one, other) => this.away(one, y) - this.away(other, y))
    const listed = rows.slice(0, MOST_ROWS)
    const main = close ?? points.find(({curve, place}) => this.xs(curve)[place] === value) ?? points[0]
    const {steps, samples} = main.curve.grid
    const title = `step ${steps[main.place].toLocaleString("en")}, ${quantity(samples[main.place])} samples`
    const text = ({curve, place}) => {
      const other = this.xs(curve)[place] === this.xs(main.curve)[main.place] ? "" : ` at ${quantity(this.xs(curve)[place])} ${this.view.unit}`
      return `${estimate(curve.mean[place], curve.low[place], curve.high[place], this.metric)}${other}`
    }
    const more = rows.length - listed.length
    this.tip.innerHTML =
      `<strong>${title}</strong><table>` +
      listed.map(point => `<tr${point === close ? ' class="close"' : ""}><td>${swatch(point.curve.look)}</td><th>${escaped(point.curve.look.name)}</th><td>${text(point)}</td></tr>`).join("") +
      `</table>${more > 0 ? `<span>and ${more} more</span>` : ""}`
    this.tip.hidden = false
    this.host.setAttribute("aria-valuenow", this.place)
    this.host.setAttribute("aria-valuetext", `${title}: ${listed.map(point => `${point.curve.look.name} ${text(point)}`).join("; ")}`)
    this.placeTip(this.x.at(value), y ?? 0)
  }

  /* Beside the cursor in the other half of the height, or above a panel of a narrow window. */
  placeTip(x, y) {
    const box = this.svg.getBoundingClientRect()
    const [width, height] = [this.tip.offsetWidth, this.tip.offsetHeight]
    const at = (x * box.width) / this.svg.viewBox.baseVal.width
    const fits = left => box.left + left >= 4 && box.left + left + width <= document.documentElement.clientWidth - 4
    const beside = [at + 14, at - 14 - width].find(fits)
    const narrow = beside === undefined || innerWidth < 640
    const left = narrow ? Math.min(Math.max(0, at - width / 2), Math.max(0, box.width - width)) : beside
    const aside = y < (this.area.top + this.area.bottom) / 2 ? Math.max(4, this.area.bottom - height - 6) : 4
    const top = narrow ? (box.top > height + 8 ? -height - 4 : box.height + 4) : aside
    this.tip.style.left = `${left}px`
    this.tip.style.top = `${top}px`
  }
}
