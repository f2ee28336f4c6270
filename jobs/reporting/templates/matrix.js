// Confusion matrices: what a cell says is read out where one points or walks to with the arrow keys; cells of large ones can
// be made larger and smaller. Without this script they are plain tables.
// A cell that scrolls under a resting pointer is not pointed at: else what the arrow keys just read would be taken away again.
const where = event => `${event.screenX},${event.screenY}`
let pointer = "", resting = ""
document.addEventListener("mousemove", event => { pointer = where(event) })
for (const matrix of document.querySelectorAll(".matrix")) {
  const table = matrix.querySelector("table"), said = matrix.querySelector("output")
  const heads = [...table.tHead.rows[0].cells].slice(1), rows = [...table.tBodies[0].rows]
  const count = cell => Number(cell.textContent.replace(/\D/g, ""))
  const totals = new Map()
  const total = r => {
    if (!totals.has(r)) totals.set(r, [...rows[r].cells].slice(1).reduce((sum, cell) => sum + count(cell), 0))
    return totals.get(r)
  }
  let row = 0, column = 0, marked = []
  const cell = (r, c) => rows[r].cells[c + 1]
  const place = target => {
    const found = target.closest && target.closest("tbody td")
    return found && table.contains(found) ? [found.parentNode.rowIndex - 1, found.cellIndex - 1] : null
  }
  const tell = (r, c) => {
    const n = count(cell(r, c)), all = total(r), truth = rows[r].cells[0].textContent.trim(), name = heads[c].textContent
    const share = all ? ` (${(100 * n / all).toFixed(1)} %)` : ""
    said.textContent = `${truth} ${r === c ? "recognised" : `taken for ${name}`}: ${n} of ${all}${share}`
    said.className = "on"
    for (const head of marked) head.classList.remove("on")
    marked = [rows[r].cells[0], heads[c], cell(r, c)]
    for (const head of marked) head.classList.add("on")
  }
  const go = (r, c, focus) => {
    cell(row, column).removeAttribute("tabindex")
    row = Math.min(Math.max(r, 0), rows.length - 1)
    column = Math.min(Math.max(c, 0), heads.length - 1)
    cell(row, column).tabIndex = 0
    if (focus) cell(row, column).focus()
  }
  table.addEventListener("mouseover", event => { const at = place(event.target); if (at && where(event) !== resting) tell(...at) })
  table.addEventListener("focusin", event => { const at = place(event.target); if (at) { resting = pointer; tell(...at) } })
  table.addEventListener("click", event => { const at = place(event.target); if (at) go(...at, true) })
  table.addEventListener("keydown", event => {
    const steps = {
      ArrowUp: [row - 1, column], ArrowDown: [row + 1, column], ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1],
      Home: [row, 0], End: [row, heads.length - 1], PageUp: [row - 10, column], PageDown: [row + 10, column],
    }
    const step = place(event.target) && !event.ctrlKey && !event.metaKey && !event.altKey && steps[event.key]
    if (step) { event.preventDefault(); go(...step, true) }
  })
  for (const button of matrix.querySelectorAll("button")) button.addEventListener("click", () => {
    const size = Math.min(48, Math.max(5, parseFloat(matrix.style.getPropertyValue("--cell")) * button.dataset.zoom))
    matrix.style.setProperty("--cell", `${size}px`)
    matrix.classList.toggle("tiny", size < 10.5)
  })
  go(0, 0, false)
  matrix.querySelector(".scroll").removeAttribute("tabindex")
  matrix.querySelector(".tools").hidden = false
}
