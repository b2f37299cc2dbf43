/** A report as one HTML page: no script, nothing from anywhere else. Every text in it is taken for hostile. */
import { latencyChart, progressChart } from './charts';
import { MOST_LISTED, type Cause, type ListedFailure, type ModelFigures, type ReportFigures } from './figures';
import { durationText, escaped, numberText, rateText, timeText, webAddress } from './text';
import { STYLE } from './style';

export interface PageOptions {
  title: string;
  /** When the report was made, in ms since the epoch. */
  madeAt: number;
  /** The page of a run in the Temporal Web UI; undefined where its address is not known. */
  runUrl?: ((run: { workflowId: string; runId?: string }) => string | undefined) | undefined;
}

/** Even if a text got out of its place, the page could not ask for anything. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

export function reportPage(figures: ReportFigures, options: PageOptions): string {
  const title = escaped(options.title);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>Batch ${title}</title>
<style>${STYLE}</style>
</head>
<body>
<header>
<h1>Batch <bdi>${title}</bdi></h1>
<p class="headline">${headline(figures)}</p>
<p class="quiet">${whenText(figures, options.madeAt)}</p>
</header>
<main>
${tiles(figures)}
${section('Progress', progress(figures))}
${section('Time per row', latency(figures))}
${section('Failures', failures(figures, options))}
${section('Tokens', tokens(figures.models))}
</main>
</body>
</html>
`;
}

function section(heading: string, content: string): string {
  return `<section>\n<h2>${heading}</h2>\n${content}\n</section>`;
}

/** The whole in one line. */
function headline({ rows, counts }: ReportFigures): string {
  const open = counts.inFlight + counts.waiting;
  const parts = [
    `${numberText(counts.completed)} of ${numberText(rows)} rows completed`,
    counts.failed > 0 && `${numberText(counts.failed)} failed`,
    counts.cancelled > 0 && `${numberText(counts.cancelled)} cancelled`,
    counts.unknown > 0 && `${numberText(counts.unknown)} unknown`,
    open > 0 && `${numberText(open)} not ended yet`,
  ];
  return parts.filter((part) => part !== false).join(', ');
}

function whenText({ startedAt, endedAt }: ReportFigures, madeAt: number): string {
  const made = `report of ${timeText(madeAt)}, times in UTC`;
  if (startedAt === undefined || endedAt === undefined) return made;
  return `${timeText(startedAt)} to ${timeText(endedAt)} (${durationText(endedAt - startedAt)}); ${made}`;
}

function tiles({ counts, rows, startedAt, endedAt, latency, askedAgain }: ReportFigures): string {
  // A cancel ends thousands in a second, and nothing was done for them.
  const ended = counts.completed + counts.failed;
  const minutes = ((endedAt ?? 0) - (startedAt ?? 0)) / 60_000;
  const [median, p95] = [latency.percentile(0.5), latency.percentile(0.95)];
  const shown: Array<[label: string, value: string, kind?: string] | false> = [
    ['rows', numberText(rows)],
    ['completed', numberText(counts.completed), 'completed'],
    ['failed', numberText(counts.failed), 'failed'],
    ['cancelled', numberText(counts.cancelled), 'cancelled'],
    counts.inFlight > 0 && ['in flight', numberText(counts.inFlight)],
    counts.waiting > 0 && ['waiting', numberText(counts.waiting)],
    counts.unknown > 0 && ['unknown', numberText(counts.unknown)],
    minutes > 0 && ['rows a minute', rateText(ended / minutes)],
    median !== undefined && ['median time', durationText(median)],
    p95 !== undefined && ['95 % within', durationText(p95)],
    askedAgain > 0 && ['asked more than once', numberText(askedAgain)],
  ];
  const tile = ([label, value, kind = 'plain']: [string, string, string?]): string =>
    `<div class="tile ${kind}"><dt>${label}</dt><dd>${value}</dd></div>`;
  return `<dl class="tiles">${shown
    .filter((each) => each !== false)
    .map(tile)
    .join('')}</dl>`;
}

function progress({ progress: histogram }: ReportFigures): string {
  const bins = histogram.list();
  if (bins.length === 0) return nothing('No row has ended yet.');
  const key = ['completed', 'failed', 'cancelled'].map((end) => `<li><i class="${end}"></i>${end}</li>`).join('');
  return `${progressChart(bins, histogram.widthMs)}\n<ul class="key">${key}</ul>`;
}

function latency({ latency: histogram }: ReportFigures): string {
  const bins = histogram.list();
  if (bins.length === 0) return nothing('No row was timed.');
  const shares = [0.5, 0.9, 0.95, 0.99].map((share) => {
    const time = histogram.percentile(share);
    return `<li>${share * 100} %: ${time === undefined ? '' : durationText(time)}</li>`;
  });
  return `${latencyChart(bins)}\n<ul class="key">${shares.join('')}</ul>`;
}

function failures({ causes }: ReportFigures, options: PageOptions): string {
  if (causes.length === 0) return nothing('No row has failed.');
  return causes.map((cause, index) => causeBlock(cause, index === 0, options)).join('\n');
}

function causeBlock({ type, rows, listed }: Cause, isOpen: boolean, options: PageOptions): string {
  const more = rows - listed.length;
  const rest =
    more === 0
      ? ''
      : `<p class="quiet">and ${numberText(more)} more; ${MOST_LISTED} of a cause are listed, all are in the error file of the results.</p>`;
  return `<details${isOpen ? ' open' : ''}>
<summary><bdi>${escaped(type)}</bdi> <span class="count">${numberText(rows)}</span></summary>
<ul class="failures">${listed.map((failure) => failureItem(failure, options)).join('\n')}</ul>${rest}
</details>`;
}

function failureItem({ id, message, workflowId, runId, url }: ListedFailure, { runUrl }: PageOptions): string {
  const run = runUrl?.({ workflowId, ...(runId === undefined ? {} : { runId }) });
  const links = [link(url, 'chat'), link(run, 'run')].filter((each) => each !== '').join(' ');
  return `<li><div class="who"><bdi class="id">${escaped(id)}</bdi> <span class="links">${links}</span></div><div class="why"><bdi>${escaped(message)}</bdi></div></li>`;
}

function link(url: string | undefined, text: string): string {
  const address = webAddress(url);
  return address === undefined ? '' : `<a href="${escaped(address)}" rel="noopener noreferrer">${text}</a>`;
}

function tokens(models: readonly ModelFigures[]): string {
  if (models.every(({ promptTokens, completionTokens }) => promptTokens + completionTokens === 0)) {
    return nothing('The models have reported no tokens.');
  }
  const total = models.reduce((sum, each) => ({
    model: 'all',
    rows: sum.rows + each.rows,
    promptTokens: sum.promptTokens + each.promptTokens,
    completionTokens: sum.completionTokens + each.completionTokens,
  }));
  const lines = models.length > 1 ? [...models, total] : models;
  return `<div class="wide"><table>
<thead><tr><th>model</th><th>replies</th><th>prompt</th><th>completion</th><th>total</th></tr></thead>
<tbody>${lines.map(modelLine).join('\n')}</tbody>
</table></div>`;
}

function modelLine({ model, rows, promptTokens, completionTokens }: ModelFigures): string {
  const cells = [rows, promptTokens, completionTokens, promptTokens + completionTokens].map(numberText);
  return `<tr><th scope="row"><bdi>${escaped(model)}</bdi></th>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`;
}

function nothing(text: string): string {
  return `<p class="quiet">${text}</p>`;
}
