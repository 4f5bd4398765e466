// The build goes where the edge serves it from, and is committed: whoever installs swell needs no Node.js.
import { defineConfig } from "vite";

export default defineConfig({
  base: "/assets/",
  build: {
    outDir: "../src/swell/edge/admin/assets",
    emptyOutDir: true,
    assetsDir: "",
    modulePreload: false,
    assetsInlineLimit: 0,
  },
});
