/** The style of a report: readable in light and dark, on a telephone and on paper. */
export const STYLE = `
:root { color-scheme: light dark; --paper: #fff; --panel: #f5f6f8; --line: #d9dde3; --text: #1c2129; --quiet: #5b6472;
  --link: #0b57b0; --completed: #2f7d5b; --failed: #c2362b; --cancelled: #8a92a0; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171c; --panel: #1e232b; --line: #363d48; --text: #e6e9ee;
  --quiet: #a0a9b8; --link: #79b2ff; --completed: #4fb286; --failed: #f0716a; --cancelled: #7d8695; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 1.5rem 1rem 3rem; background: var(--paper); color: var(--text);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
h1 { margin: 0; font-size: 1.5rem; line-height: 1.25; overflow-wrap: anywhere; }
h2 { margin: 2.25rem 0 .75rem; font-size: 1.125rem; }
.headline { margin: .5rem 0 0; font-size: 1.125rem; }
.quiet { margin: .25rem 0; color: var(--quiet); font-size: .875rem; font-weight: normal; }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(8rem, 1fr)); gap: .75rem; margin: 1.5rem 0 0; }
.tile { padding: .625rem .75rem; background: var(--panel); border-left: 4px solid var(--line); border-radius: 4px; }
.tile.completed { border-color: var(--completed); }
.tile.failed { border-color: var(--failed); }
.tile.cancelled { border-color: var(--cancelled); }
dt { color: var(--quiet); font-size: .8125rem; }
dd { margin: 0; font-size: 1.375rem; font-variant-numeric: tabular-nums; }
figure { margin: 0; }
figcaption { font-size: .875rem; }
figcaption .quiet { float: right; margin: 0; }
svg { display: block; clear: both; width: 100%; height: 12rem; margin-top: .375rem; }
svg .completed { fill: var(--completed); }
svg .failed { fill: var(--failed); }
svg .cancelled { fill: var(--cancelled); }
.grid { fill: none; stroke: var(--line); vector-effect: non-scaling-stroke; }
.marks { display: flex; justify-content: space-between; gap: .75rem; margin-top: .25rem; color: var(--quiet);
  font-size: .8125rem; font-variant-numeric: tabular-nums; }
.marks span:nth-child(2) { text-align: center; }
.marks span:last-child { text-align: right; }
.key { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: .625rem 0 0; padding: 0; list-style: none; font-size: .875rem; }
.key i { display: inline-block; width: .75rem; height: .75rem; margin-right: .375rem; border-radius: 2px; }
i.completed { background: var(--completed); }
i.failed { background: var(--failed); }
i.cancelled { background: var(--cancelled); }
details { margin: .5rem 0; border: 1px solid var(--line); border-radius: 4px; }
details .quiet { padding: 0 .75rem .375rem; }
summary { padding: .5rem .75rem; background: var(--panel); cursor: pointer; font-weight: 600; overflow-wrap: anywhere; }
.count { margin-left: .5rem; color: var(--failed); font-variant-numeric: tabular-nums; }
.failures { margin: 0; padding: 0; list-style: none; }
.failures li { padding: .5rem .75rem; border-top: 1px solid var(--line); }
.who { display: flex; justify-content: space-between; gap: 1rem; }
.id { font-family: ui-monospace, "SFMono-Regular", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: .875rem; overflow-wrap: anywhere; }
.links { flex: none; }
.links a + a { margin-left: .75rem; }
.why { color: var(--quiet); font-size: .875rem; overflow-wrap: anywhere; }
a { color: var(--link); }
.wide { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .375rem .5rem; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child { text-align: left; overflow-wrap: anywhere; }
thead th { color: var(--quiet); font-size: .8125rem; font-weight: normal; }
tbody th { font-weight: normal; }
@media print { body { max-width: none; } details { break-inside: avoid; } }
`;
