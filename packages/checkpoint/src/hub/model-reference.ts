import { CalibrantError } from '@calibrant/core';

/** What a person meant by a model's name. */
export type ModelReference =
  | {
      readonly kind: 'hub';
      /** `organisation/name` */
      readonly repo: string;
      /** Branch, tag or commit. */
      readonly revision?: string;
      /** False for a bare `organisation/name`, which could also be a folder: look for that first. */
      readonly explicit: boolean;
    }
  | { readonly kind: 'path'; readonly path: string };

const REPO = /^[A-Za-z0-9][\w.-]*(?:\/[A-Za-z0-9_][\w.-]*)?$/;
const MODEL_URL = /^https?:\/\/(?:www\.)?(?:huggingface\.co|hf\.co)\/([^/?#]+\/[^/?#]+)(?:\/tree\/([^?#]+?))?\/?(?:[?#].*)?$/;

/**
 * Tells Hub models from paths: `hf:org/name`, `hf:org/name@revision`, `https://huggingface.co/org/name` and `org/name[@revision]` are on
 * the Hub; everything else is a path.
 *
 * @throws CalibrantError `INVALID_ARGUMENT` for a malformed `hf:` name.
 * @example
 * parseModelReference('hf:HuggingFaceTB/SmolLM2-135M@main'); // { kind: 'hub', repo: 'HuggingFaceTB/SmolLM2-135M', revision: 'main', explicit: true }
 * parseModelReference('./SmolLM2-135M'); // { kind: 'path', path: './SmolLM2-135M' }
 */
export function parseModelReference(text: string): ModelReference {
  const url = MODEL_URL.exec(text);
  if (url) return hub(url[1], url[2] && decodeURIComponent(url[2]), true);
  if (text.startsWith('hf:')) {
    const [repo, revision] = splitRevision(text.slice(3));
    if (!REPO.test(repo) || (revision !== undefined && !isSafeRevision(revision)))
      throw new CalibrantError(
        'INVALID_ARGUMENT',
        `"${text}" is not a Hub model. Write hf:organisation/name or hf:organisation/name@revision.`,
      );
    return hub(repo, revision, true);
  }
  const [repo, revision] = splitRevision(text);
  if (
    repo.includes('/') &&
    REPO.test(repo) &&
    !/\.(gguf|safetensors|onnx)$/i.test(text) &&
    (revision === undefined || isSafeRevision(revision))
  )
    return hub(repo, revision, false);
  return { kind: 'path', path: text };
}

/** Whether a branch, tag or commit can be used in a URL and as a path below the cache's `refs`. */
export function isSafeRevision(revision: string): boolean {
  return /^[\w][\w.+-]*(?:\/[\w][\w.+-]*)*$/.test(revision) && !revision.includes('..');
}

/** Whether this is a repository's id: `organisation/name`, or a single name (of the Hub's first models). */
export function isRepoId(repo: string): boolean {
  return REPO.test(repo) && !repo.includes('..') && !repo.includes('--');
}

function hub(repo: string, revision: string | undefined, explicit: boolean): ModelReference {
  return { kind: 'hub', repo, ...(revision === undefined ? {} : { revision }), explicit };
}

function splitRevision(text: string): [string, string | undefined] {
  const at = text.indexOf('@');
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}
