// The environment in which tests run: where there is no GPU driver, chromium's software one serves WebGPU.
import { existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const CHROMIUM_FOLDERS = ['/usr/lib/chromium', '/usr/lib64/chromium-browser'];

export function testEnvironment() {
  const env = { ...process.env };
  env.XDG_RUNTIME_DIR ??= mkdtempSync(path.join(tmpdir(), 'calibrant-xdg-'));
  const folder = CHROMIUM_FOLDERS.find((candidate) => existsSync(path.join(candidate, 'vk_swiftshader_icd.json')));
  if (!folder || env.VK_ICD_FILENAMES || env.VK_DRIVER_FILES) return env;
  env.VK_ADD_DRIVER_FILES = path.join(folder, 'vk_swiftshader_icd.json');
  // chromium also brings the Vulkan loader, which a machine without a GPU may lack.
  env.LD_LIBRARY_PATH = [env.LD_LIBRARY_PATH, folder].filter(Boolean).join(':');
  return env;
}
