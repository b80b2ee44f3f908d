/**
 * Keeps a reader that goes away (`| head`) from ending a run in the middle with files half written. Without a reader of stderr the run goes on
 * unreported; without one of stdout the result reaches nobody, which is a failure.
 */
export function surviveClosedPipes(): void {
  process.stderr.on('error', throwUnlessClosed);
  process.stdout.on('error', (error) => {
    throwUnlessClosed(error);
    process.exitCode ||= 1;
  });
}

function throwUnlessClosed(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE' && error.code !== 'ERR_STREAM_DESTROYED') throw error;
}
