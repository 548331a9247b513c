"use strict"

/* Numbers as text, and their places along an axis. The formats are those of svl/results/quantity.py. */

const trimmed = text => (text.includes(".") ? text.replace(/0+$/, "").replace(/\.$/, "") : text)

/* Three significant digits, at most three decimals. */
function significant(number) {
  const size = number === 0 ? 0 : Math.floor(Math.log10(Math.abs(number)))
  return trimmed(number.toFixed(number === 0 ? 3 : Math.min(3, Math.max(0, 2 - size))))
}

/* A count: 900, 16.4k, 1.23M, 2G. */
function quantity(count) {
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]])
    if (Math.abs(count) >= 0.9995 * size) return significant(count / size) + unit
  return significant(count)
}

const isAccuracy = metric => metric.endsWith("accuracy")

/* A metric's value, in per cent for an accuracy. */
function shown(value, metric) {
  if (value === null) return "–"
  return isAccuracy(metric) ? (100 * value).toFixed(1) : value.toPrecision(3)
}

/* A mean with its interval: 97.1 % [96.0, 98.2]. */
function estimate(mean, low, high, metric) {
  if (mean === null) return "–"
  const interval = low === null ? "" : ` [${shown(low, metric)}, ${shown(high, metric)}]`
  return `${shown(mean, metric)}${isAccuracy(metric) ? " %" : ""}${interval}`
}

function tickText(value) {
  if (Math.abs(value) >= 1e4) return quantity(value)
  if (Math.abs(value) >= 1e-3 || Math.abs(value) < 1e-12) return trimmed(value.toFixed(6))
  return value.toExponential(1).replace(".0e", "e")
}

class Scale {
  /* Places numbers from low to high on the pixels from first to last, evenly or by their logarithms. */
  constructor(low, high, first, last, log) {
    Object.assign(this, {low, high, first, last, log})
    this.bottom = this.of(low)
    this.span = this.of(high) - this.bottom || 1
  }

  of(value) {
    return this.log ? Math.log10(value) : value
  }

  /* The pixel of a number; null where there is none. */
  at(value) {
    if (value === null || (this.log && value <= 0)) return null
    return this.first + ((this.of(value) - this.bottom) / this.span) * (this.last - this.first)
  }

  /* The number at a pixel. */
  back(pixel) {
    const value = this.bottom + ((pixel - this.first) / (this.last - this.first)) * this.span
    return this.log ? 10 ** value : value
  }

  /* About so many round numbers. */
  ticks(count) {
    if (this.log && this.span > 0.7) return this.powers(count)
    const raw = (this.high - this.low) / count
    const power = 10 ** Math.floor(Math.log10(raw))
    const step = power * [1, 2, 5, 10].find(factor => factor * power >= raw * 0.999)
    const ticks = []
    for (let n = Math.ceil(this.low / step - 1e-9); n * step <= this.high + 1e-9 * step; n++) ticks.push(n * step)
    return ticks
  }

  powers(count) {
    const factors = this.span < 2 ? [1, 2, 5] : [1]
    const every = Math.max(1, Math.ceil(this.span / count))
    const ticks = []
    for (let power = Math.floor(this.bottom); power <= this.bottom + this.span; power++)
      if (factors.length > 1 || power % every === 0)
        for (const factor of factors) ticks.push(factor * 10 ** power)
    return ticks.filter(tick => tick >= this.low * 0.999 && tick <= this.high * 1.001)
  }
}
