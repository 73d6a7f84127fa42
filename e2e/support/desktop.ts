import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Readable } from 'node:stream';

import { expect, type Locator } from '@playwright/test';

/** As demos/dioxus/src/desktop.rs opens it; no window manager adds a frame. */
export const WINDOW = { width: 1120, height: 760 };

interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** What was seen, and where: everywhere without a box. */
interface Sight {
  box?: Box;
  pixels: Buffer;
}

/** The Dioxus app in a window on a display that nobody sees. It keeps its data from one start to the next. */
export class Desktop {
  readonly log: string[] = [];
  private program: ChildProcess | null = null;

  private constructor(
    private readonly folder: string,
    private readonly screen: ChildProcess,
    private readonly display: string,
  ) {}

  static async on(): Promise<Desktop> {
    const size = `${WINDOW.width}x${WINDOW.height}x24`;
    const screen = spawn('Xvfb', ['-displayfd', '3', '-screen', '0', size, '-nolisten', 'tcp'], {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
    });
    const number = await new Promise<string>((resolve, reject) => {
      screen.once('error', reject);
      screen.once('exit', (code) => reject(new Error(`Xvfb ended (${code})`)));
      (screen.stdio[3] as Readable).once('data', (said: Buffer) => resolve(said.toString().trim()));
    });
    return new Desktop(await mkdtemp(path.join(tmpdir(), 'syncline-desktop-')), screen, `:${number}`);
  }

  /** Opens the window at the address of a page, and waits until something is drawn in it. */
  async open(address: string): Promise<void> {
    const program = process.env.SYNCLINE_DESKTOP;
    if (!program) throw new Error('SYNCLINE_DESKTOP names no program: run `cargo xtask desktop --test`');
    const empty = this.see();
    const child = spawn(program, [address], { env: this.env(), stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (said: Buffer) => this.log.push(said.toString()));
    this.program = child;
    await this.changes(empty);
  }

  /** `kill -9`: no handler of the program runs. */
  async kill(): Promise<void> {
    const child = this.program;
    this.program = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }

  /** Clicks where the same page shows an element in a browser whose window has the same size. */
  async click(twin: Locator): Promise<void> {
    const { x, y, width, height } = await boxOf(twin);
    const at = [Math.round(x + width / 2), Math.round(y + height / 2)].map(String);
    this.hands('mousemove', '--sync', ...at, 'click', '1');
  }

  async type(text: string): Promise<void> {
    this.hands('type', '--delay', '20', text);
  }

  async press(key: string): Promise<void> {
    this.hands('key', key);
  }

  /** What is seen there where a browser shows an element, or as many rows like it further down: raw pixels. */
  async look(twin: Locator, rowsBelow = 0): Promise<Sight> {
    const { y, height, ...box } = await boxOf(twin);
    return this.see({ ...box, y: y + rowsBelow * height, height });
  }

  /** Waits until what is seen at a place is not what it was. */
  async changes({ pixels, box }: Sight): Promise<void> {
    await expect.poll(() => this.see(box).pixels.equals(pixels), { message: this.log.join('') }).toBe(false);
  }

  /** Waits until the same is seen at a place as it was. */
  async shows({ pixels, box }: Sight): Promise<void> {
    await expect.poll(() => this.see(box).pixels.equals(pixels), { message: this.log.join('') }).toBe(true);
  }

  /** Saves what is seen as a picture. */
  photograph(file: string): void {
    execFileSync('import', ['-window', 'root', file], { env: this.env() });
  }

  /** Waits until some file of the program has this text in it. */
  async kept(text: string): Promise<void> {
    await expect.poll(async () => (await this.files()).some((file) => file.includes(text))).toBe(true);
  }

  async dispose(): Promise<void> {
    await this.kill();
    const ended = new Promise((resolve) => this.screen.once('exit', resolve));
    this.screen.kill();
    await ended;
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  private async files(): Promise<Buffer[]> {
    const entries = await readdir(this.folder, { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile() && /\.db/.test(entry.name));
    return Promise.all(files.map((file) => readFile(path.join(file.parentPath ?? file.path, file.name))));
  }

  private see(box?: Box): Sight {
    const crop = box === undefined ? [] : ['-crop', `${round(box.width)}x${round(box.height)}+${round(box.x)}+${round(box.y)}`];
    const options = { env: this.env(), maxBuffer: 64 << 20, stdio: ['ignore', 'pipe', 'ignore'] as ('ignore' | 'pipe')[] };
    return { box, pixels: execFileSync('import', ['-window', 'root', ...crop, 'rgb:-'], options) };
  }

  private hands(...args: string[]): void {
    execFileSync('xdotool', args, { env: this.env() });
  }

  private env(): NodeJS.ProcessEnv {
    return { ...process.env, DISPLAY: this.display, XDG_DATA_HOME: this.folder, GDK_BACKEND: 'x11', NO_AT_BRIDGE: '1' };
  }
}

async function boxOf(twin: Locator): Promise<Box> {
  const box = await twin.boundingBox();
  if (box === null) throw new Error('the browser does not show it');
  return box;
}

function round(length: number): number {
  return Math.round(length);
}
