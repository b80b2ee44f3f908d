import { bloomArchitecture } from './bloom.js';
import { cohereArchitecture } from './cohere.js';
import { falconArchitecture } from './falcon.js';
import { gemmaArchitectures } from './gemma.js';
import { gptNeoXArchitecture } from './gpt-neox.js';
import { gpt2Architecture } from './gpt2.js';
import { llamaArchitectures } from './llama.js';
import { mixtralArchitecture } from './mixtures.js';
import { olmo2Architecture } from './olmo2.js';
import { optArchitecture } from './opt.js';
import type { Architecture } from './parts/plugin.js';
import { phiArchitectures } from './phi.js';
import { qwenArchitectures } from './qwen.js';
import { stableLmArchitecture } from './stablelm.js';

/** The architectures that this package knows. */
export const architectures: readonly Architecture[] = [
  ...llamaArchitectures,
  mixtralArchitecture,
  ...qwenArchitectures,
  ...gemmaArchitectures,
  ...phiArchitectures,
  gpt2Architecture,
  gptNeoXArchitecture,
  stableLmArchitecture,
  olmo2Architecture,
  cohereArchitecture,
  falconArchitecture,
  bloomArchitecture,
  optArchitecture,
];
