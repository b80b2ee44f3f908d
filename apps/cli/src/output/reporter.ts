import type { ProgressEvent, RunEvent } from '@calibrant/core';
import cliProgress from 'cli-progress';
import { formatCount, formatDuration } from './format.js';

/** Shows the events of a long operation. */
export interface Reporter {
  onEvent(event: RunEvent): void;
  /** A line for a person, not part of the result. */
  note(line: string): void;
  stop(): void;
}

export interface ReporterOptions {
  readonly quiet: boolean;
  readonly stream?: NodeJS.WriteStream;
}

/** A bar with an estimate on a terminal, plain lines when piped, nothing when quiet. All on stderr: stdout is for results. */
export function createReporter({ quiet, stream = process.stderr }: ReporterOptions): Reporter {
  if (quiet) return { onEvent: () => {}, note: () => {}, stop: () => {} };
  return stream.isTTY ? barReporter(stream) : lineReporter(stream);
}

function barReporter(stream: NodeJS.WriteStream): Reporter {
  let bar: cliProgress.SingleBar | undefined;
  let phase = '';
  let started = 0;
  const stop = () => {
    bar?.stop();
    bar = undefined;
    phase = '';
  };
  const note = (line: string) => {
    stop();
    stream.write(`${line}\n`);
  };
  return {
    note,
    stop,
    onEvent(event) {
      if ('warning' in event) return note(warningLine(event));
      if (event.phase !== phase) {
        stop();
        phase = event.phase;
        started = Date.now();
        bar = new cliProgress.SingleBar(
          {
            stream,
            hideCursor: true,
            clearOnComplete: false,
            format: `${phase} {bar} {percentage}% {detail}`,
            barsize: 24,
            linewrap: false,
          },
          cliProgress.Presets.rect,
        );
        bar.start(event.total ?? 1, 0, { detail: '' });
      }
      if (event.total) bar?.setTotal(event.total);
      bar?.update(event.done, { detail: detail(event, started) });
      if (event.done === event.total) {
        bar?.stop();
        bar = undefined;
      }
    },
  };
}

/** A line at the start of a phase, then at most one every ten seconds, and one at its end. */
function lineReporter(stream: NodeJS.WriteStream): Reporter {
  let phase = '';
  let started = 0;
  let last = 0;
  const note = (line: string) => void stream.write(`${line}\n`);
  return {
    note,
    stop: () => {},
    onEvent(event) {
      if ('warning' in event) return note(warningLine(event));
      const now = Date.now();
      const finished = event.done === event.total;
      if (event.phase !== phase) {
        phase = event.phase;
        started = now;
        last = now;
        if (!finished) note(`${phase} ...`);
      }
      if (finished) note(`${phase}: ${formatCount(event.done)} ${event.unit} in ${formatDuration(now - started)}`);
      else if (now - last >= 10_000) {
        last = now;
        note(
          `${phase}: ${event.total ? `${Math.floor((100 * event.done) / event.total)} %` : formatCount(event.done)} ${detail(event, started)}`,
        );
      }
    },
  };
}

function warningLine(event: { warning: string; item?: string }): string {
  return `warning: ${event.item ? `${event.item}: ` : ''}${event.warning}`;
}

function detail(event: ProgressEvent, started: number): string {
  const elapsed = Date.now() - started;
  if (event.done === event.total) return `in ${formatDuration(elapsed)}`;
  const left = event.total && event.done > 0 ? (elapsed * (event.total - event.done)) / event.done : undefined;
  return [left !== undefined && elapsed > 1000 ? `${formatDuration(left)} left` : '', event.item ?? ''].filter(Boolean).join(' · ');
}
