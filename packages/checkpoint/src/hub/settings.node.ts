import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { CalibrantError } from '@calibrant/core';

/** The settings that every Hugging Face tool takes from the environment. */
export interface HubEnvironment {
  /** `HF_HUB_CACHE`, else `HF_HOME/hub`, else `XDG_CACHE_HOME/huggingface/hub`, else `~/.cache/huggingface/hub`. */
  readonly cacheFolder: string;
  /** `HF_ENDPOINT`. */
  readonly hubUrl: string;
  /** `HF_HUB_OFFLINE`. */
  readonly offline: boolean;
}

type Environment = Readonly<Record<string, string | undefined>>;

export function hubEnvironment(environment: Environment = process.env): HubEnvironment {
  return {
    cacheFolder: environment['HF_HUB_CACHE'] || environment['HUGGINGFACE_HUB_CACHE'] || join(hubHome(environment), 'hub'),
    hubUrl: (environment['HF_ENDPOINT'] || 'https://huggingface.co').replace(/\/+$/, ''),
    offline: isOn(environment['HF_HUB_OFFLINE']),
  };
}

/**
 * The access token: `HF_TOKEN`, else the file that `hf auth login` wrote (`HF_TOKEN_PATH`, `HF_HOME/token`), else none.
 *
 * @throws CalibrantError `INVALID_ARGUMENT` for a token that cannot be sent (it is not shown).
 */
export async function hubToken(environment: Environment = process.env): Promise<string | undefined> {
  const variable = (environment['HF_TOKEN'] || environment['HUGGING_FACE_HUB_TOKEN'])?.trim();
  if (variable) return checkedToken(variable, 'HF_TOKEN');
  if (isOn(environment['HF_HUB_DISABLE_IMPLICIT_TOKEN'])) return undefined;
  const file = environment['HF_TOKEN_PATH'] || join(hubHome(environment), 'token');
  const stored = (await readFile(file, 'utf8').catch(() => '')).trim();
  return stored ? checkedToken(stored, file) : undefined;
}

/** Refuses what cannot be in a header: `fetch` would show the token in its error. */
export function checkedToken(token: string, source: string): string {
  if (!/^[\x21-\x7e]+$/.test(token))
    throw new CalibrantError(
      'INVALID_ARGUMENT',
      `The access token in ${source} holds spaces or other characters that no token has. Set it again.`,
      {
        option: source,
      },
    );
  return token;
}

function hubHome(environment: Environment): string {
  return environment['HF_HOME'] || join(environment['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'huggingface');
}

function isOn(value: string | undefined): boolean {
  return /^(1|true|yes|on)$/i.test(value ?? '');
}
