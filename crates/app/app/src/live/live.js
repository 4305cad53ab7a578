// Put to the end of each page by `server --dev`: loads it again when a file beside it has changed.
(() => {
  // The changes that this page has seen: they stand behind the question mark of this script's address.
  let seen = Number(new URL(document.currentScript.src).search.slice(1));
  let source;

  const swapStyles = () => {
    for (const link of document.querySelectorAll('link[rel~="stylesheet"][href]')) {
      const url = new URL(link.href);
      if (url.origin !== location.origin) continue;
      url.searchParams.set('changed', seen);
      const next = link.cloneNode();
      next.href = url;
      // The old one goes when the new one is there, so that the page is never without.
      next.onload = () => link.remove();
      link.after(next);
    }
  };

  const listen = () => {
    source = new EventSource(`/.tollgate/changes?${seen}`);
    source.onmessage = (event) => {
      const { version, changed } = JSON.parse(event.data);
      if (version === seen) return;
      // A compiler of style sheets writes a map beside each.
      const onlyStyles = changed.length > 0 && changed.every((path) => /\.css(\.map)?$/.test(path));
      seen = version;
      if (onlyStyles) swapStyles(); else location.reload();
    };
  };

  // A page that nobody sees holds no connection: browsers have six for a host.
  const follow = () => {
    if (document.hidden) {
      source?.close();
      source = undefined;
    } else if (!source) {
      listen();
    }
  };
  document.addEventListener('visibilitychange', follow);
  addEventListener('pagehide', () => source?.close());
  follow();
})();
