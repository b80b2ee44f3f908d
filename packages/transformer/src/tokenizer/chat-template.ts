import { CalibrantError } from '@calibrant/core';
import { Template } from '@huggingface/jinja';

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant' | 'tool' | (string & {});
  readonly content: string;
}

export interface ChatTemplateOptions {
  /** End with the start of the assistant's answer; false if absent. */
  readonly addGenerationPrompt?: boolean;
  /** More variables that the model's template knows (`enable_thinking`, `tools`, …). */
  readonly variables?: Readonly<Record<string, unknown>>;
}

export type ApplyChatTemplate = (messages: readonly ChatMessage[], options?: ChatTemplateOptions) => string;

interface TemplateContext {
  /** The model's name, for messages. */
  readonly name: string;
  readonly tokens: Readonly<Record<string, string | undefined>>;
}

/** Compiles a chat template as tokenizer_config.json holds it: one template, or a list of named ones of which `default` counts. Undefined when there is none. */
export function createChatTemplate(source: unknown, { name, tokens }: TemplateContext): ApplyChatTemplate | undefined {
  const text = defaultTemplate(source);
  if (text === undefined) return undefined;
  let template: Template | undefined;
  return (messages, { addGenerationPrompt = false, variables = {} } = {}) => {
    try {
      template ??= new Template(text);
      const known = Object.fromEntries(Object.entries(tokens).filter(([, token]) => token !== undefined));
      return template.render({ ...known, ...variables, messages, add_generation_prompt: addGenerationPrompt });
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new CalibrantError(
        template ? 'INVALID_ARGUMENT' : 'CORRUPT_FILE',
        template
          ? `${name}: the chat template refuses these messages: ${reason}. Roles were ${messages.map(({ role }) => role).join(', ') || 'none'}.`
          : `${name}: the chat template cannot be read: ${reason}.`,
        { cause },
      );
    }
  };
}

function defaultTemplate(source: unknown): string | undefined {
  if (typeof source === 'string') return source;
  if (!Array.isArray(source)) return undefined;
  const named = source as readonly { name?: unknown; template?: unknown }[];
  const chosen = named.find((entry) => entry?.name === 'default') ?? named[0];
  return typeof chosen?.template === 'string' ? chosen.template : undefined;
}
