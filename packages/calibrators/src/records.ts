import { CalibrantError } from '@calibrant/core';
import type { CalibrationMessage } from './calibration-set.js';

/** Writes a conversation as text: the model's chat template. */
export type RenderMessages = (messages: readonly CalibrationMessage[]) => string;

/** Names that conversations of other data sets give the roles. */
const ROLES: Readonly<Record<string, string>> = { human: 'user', gpt: 'assistant', bot: 'assistant', chatgpt: 'assistant' };

/**
 * The text of a record of a data set: its `text`, or a conversation in `messages` (`role`, `content`) or `conversations` (`from`, `value`), written by the model's chat template.
 *
 * @param where for messages
 * @throws CalibrantError `CORRUPT_FILE` for records without either, `INVALID_ARGUMENT` for conversations without a chat template
 */
export function textOfRecord(record: unknown, where: string, render: RenderMessages | undefined): string {
  const { text, messages, conversations } = (typeof record === 'object' && record !== null ? record : {}) as Record<string, unknown>;
  if (typeof text === 'string') return text;
  const turns = messages ?? conversations;
  if (!Array.isArray(turns))
    throw new CalibrantError(
      'CORRUPT_FILE',
      `${where} must hold a string "text" or a list "messages"; it holds ${Object.keys(record ?? {}).join(', ') || 'nothing'}.`,
      { file: where },
    );
  if (!render)
    throw new CalibrantError(
      'INVALID_ARGUMENT',
      `${where} is a conversation, which only a tokenizer with a chat template can write as text.`,
      {
        file: where,
      },
    );
  return render(turns.map((turn) => messageOf(turn, where)));
}

function messageOf(turn: unknown, where: string): CalibrationMessage {
  const { role, from, content, value } = (turn ?? {}) as Record<string, unknown>;
  const [who, what] = [role ?? from, textOfParts(content ?? value)];
  if (typeof who !== 'string' || typeof what !== 'string')
    throw new CalibrantError('CORRUPT_FILE', `${where}: each message must have a string "role" and a "content" of text.`, { file: where });
  return { role: ROLES[who] ?? who, content: what };
}

/** A content in parts (`[{ "type": "text", "text": … }]`) as one text; undefined where a part is no text. */
function textOfParts(content: unknown): unknown {
  if (!Array.isArray(content)) return content;
  const parts = content.map((part) => (part as { readonly text?: unknown } | null)?.text);
  return parts.every((part) => typeof part === 'string') ? parts.join('') : undefined;
}
