// Shows the page's notifications where a page itself may not (Chromium on Android), and leads from
// them into the page.
addEventListener("notificationclick", (event) => {
  event.notification.close();
  const { hash } = event.notification.data;
  event.waitUntil(
    clients.matchAll({ type: "window" }).then(async ([page]) => {
      if (!page) return clients.openWindow(`/${hash}`);
      await page.focus();
      page.postMessage({ hash });
    }),
  );
});
