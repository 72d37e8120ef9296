// Makes dist/ from src/: the same bytes from the same sources, everywhere.
import { cpSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { build } from 'esbuild';

const license = readFileSync('node_modules/preact/LICENSE', 'utf8').trim();

rmSync('dist', { recursive: true, force: true });
mkdirSync('dist');
cpSync('src/index.html', 'dist/index.html');
cpSync('src/icon.svg', 'dist/icon.svg');
await build({
  entryPoints: { app: 'src/main.jsx' },
  outdir: 'dist',
  bundle: true,
  minify: true,
  format: 'esm',
  target: ['chrome100', 'firefox102', 'safari15.4'],
  jsx: 'automatic',
  jsxImportSource: 'preact',
  banner: { js: `/* Contains Preact.\n\n${license} */` },
  legalComments: 'none',
});
await build({ entryPoints: { app: 'src/style.css' }, outdir: 'dist', minify: true });
